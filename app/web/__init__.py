"""The pages: templates that are a frame, and scripts that ask the server's own API."""

"""The web pages: static templates, and scripts that call the server's API."""

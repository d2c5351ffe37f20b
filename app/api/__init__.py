"""The HTTP endpoints, one file each, and the middleware around them."""

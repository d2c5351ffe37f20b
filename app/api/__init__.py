"""The HTTP doors, one file each, and the middleware around them."""

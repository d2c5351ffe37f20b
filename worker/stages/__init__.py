"""The stages of an iteration, one a file."""

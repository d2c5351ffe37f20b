"""The stages of an iteration, one per file."""

"""Prompts for self-play, made from seed instructions and machine-checkable constraints."""

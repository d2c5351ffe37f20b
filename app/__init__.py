"""Inference that searches for its answers, on models that improve while they serve."""

__version__ = "0.1.0"

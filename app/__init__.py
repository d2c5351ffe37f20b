"""Inference-time search over vLLM, with self-play training that improves the models."""

__version__ = "0.2.0"

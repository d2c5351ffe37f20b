"""Several OpenAI-compatible servers that serve as one engine."""

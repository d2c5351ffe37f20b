"""API keys: creation, lookup, rate limits, and when they are required."""

"""API keys: made, recognised, limited."""

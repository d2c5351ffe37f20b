"""Model calls: the `Engine` protocol in `base`, and its implementations."""

"""Trains one role's model in a separate process: `accelerate launch -m training CONFIG.json`."""

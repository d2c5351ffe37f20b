"""Trains one role's model in a process of its own: `accelerate launch -m training CONFIG.json`."""

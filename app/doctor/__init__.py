"""Says of a machine and a configuration what is wrong, and what to do about it."""

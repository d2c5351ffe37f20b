"""Which version of each role is served."""

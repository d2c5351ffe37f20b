"""This project beside its-hub, optillm and a sequential tree search, on one engine."""

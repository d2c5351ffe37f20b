"""Measurements of the running system; `python -m benchmarks --help` lists them."""

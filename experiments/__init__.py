"""The experiments of SPaR (arXiv 2412.11605), repeated on the served model.

`python -m experiments NAME` runs one from a checkout. Results are written to `docs/results`.
"""

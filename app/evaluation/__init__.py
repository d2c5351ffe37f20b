"""Benchmarks of a served model: requests, scores, metrics and comparisons.

Pure, except for reading files (`data.py`) and for the server's client and process (`http.py`,
`own_server.py`, and on them `asking.py` and `runner.py`).
"""

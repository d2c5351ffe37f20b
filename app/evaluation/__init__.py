"""Evaluation: what a served model is asked, how its outcomes are scored, and what that says.

Pure, except for what reads files (`rows.py`, `data.py`) and what asks a server or starts one
(`http.py`, `own_server.py`, and on them `asking.py`, `runner.py`).
"""

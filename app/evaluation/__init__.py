"""Evaluation: what a served model is asked, how its outcomes are scored, and what that says.

Pure, but for what reads and writes files (`rows.py`, `data.py`; in `reproduce` also `journal.py`,
`write.py`), what asks a server or starts one (`http.py`, `own_server.py`, and on them `asking.py`,
`runner.py`, `reproduce/searching.py`, `reproduce/gather.py`), and `reproduce/generating.py`, which
runs a model.
"""

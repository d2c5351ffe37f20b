"""Evaluation: what a served model is asked, how its outcomes are scored, and what that says.

Everything here is pure but `runner.py` (asks a server) and what reads files.
"""

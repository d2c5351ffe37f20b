"""Requirements a program can check: what they are, whether they are met, and what was found.

`checker.Checker` checks; `catalogue.catalogue` lists all kinds.
"""

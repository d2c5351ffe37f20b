"""Requirements a program can check: what they are, whether they are met, and what was found.

`checker.Checker` is the way in; `catalogue.catalogue` lists what can be asked for. The
verifier library is imported only in the processes that check (`library`), never in the server.
"""

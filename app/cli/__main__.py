"""`python -m app.cli` is `spar`."""

from app.cli import main

main()

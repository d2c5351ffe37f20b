"""One process per contender: each asks the same server in its own way."""

"""The worker process: runs self-play iterations, with the servers as its inference engine."""

"""The worker: runs self-play iterations beside the servers."""

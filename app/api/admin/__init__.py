"""The admin API: iterations, checkpoints, prompts, and the state of the server.

It only reads and writes the database: workers claim queued iterations, and servers poll for
promotions.
"""

"""The admin endpoint: iterations, checkpoints and the prompt pool.

It only writes and reads the database. The worker does what iterations ask for, and every server
notices by itself what is promoted.
"""

"""Answers by search: the algorithms, which are pure, and the driver that runs them."""

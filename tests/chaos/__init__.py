"""Faults on purpose: a loaded system is damaged at random, and must lose nothing."""

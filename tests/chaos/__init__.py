"""Fault injection: random faults in a system under load, which must lose nothing."""

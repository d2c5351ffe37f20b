"""Measuring a candidate against what is served, and deciding whether it takes over."""

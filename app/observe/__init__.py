"""Metrics, traces and logs of a process. None of them contains prompts or answers."""

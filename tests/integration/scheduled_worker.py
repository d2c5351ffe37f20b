"""The scripted worker on a clock that is seconds before a full minute.

`python -m tests.integration.scheduled_worker`: what is due every minute is due soon.
"""

import runpy
from datetime import UTC, datetime

import time_machine

# Loaded before the clock is set: that takes seconds.
import worker.__main__

ALMOST = 50
"""Seconds of the minute in which the worker begins."""

__all__ = ["worker"]

if __name__ == "__main__":
    now = datetime.now(UTC).replace(second=ALMOST, microsecond=0)
    with time_machine.travel(now, tick=True):
        runpy.run_module("tests.chaos.scripted_worker", run_name="__main__")

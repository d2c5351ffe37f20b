"""How a training run ends, and the line it says it in.

`accelerate launch` replaces a trainer's exit status by its own, so the trainer's last line on
stderr carries the status as well as the reason.
"""

import re
from enum import IntEnum

LINE = re.compile(r"^training failed \((\d)\): (.*)$", re.MULTILINE)


class Outcome(IntEnum):
    """Exit status of the trainer."""

    DONE = 0
    FAILED = 1
    REFUSED = 2
    OUT_OF_MEMORY = 3
    DISK_FULL = 4


class Refused(Exception):
    """The configuration or the data cannot be trained on; the text says why."""


class Diverged(Exception):
    """The loss is no number any more."""


def failure_line(outcome: Outcome, reason: str) -> str:
    """The last line of a failed run; line breaks in the reason become spaces."""
    return f"training failed ({int(outcome)}): {' '.join(reason.split())}"


def parse_failure(stderr: str) -> tuple[Outcome, str] | None:
    """Outcome and reason of the last such line, or None where the trainer wrote none."""
    found = LINE.findall(stderr)
    return (Outcome(int(found[-1][0])), found[-1][1]) if found else None

"""Tells from the launcher's exit status and stderr how the trainer ended."""

import re
import signal
from dataclasses import dataclass

from training.outcome import parse_failure

KILLED = re.compile(r"died with <Signals\.(SIG\w+)|Signal \d+ \((SIG\w+)\) received by PID")
"""How Python's `subprocess` and torch's launcher report a child that a signal ended."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The signal that killed the trainer, or else why it failed; neither if all went well."""

    signal: str | None = None
    reason: str | None = None


def read_ending(status: int, stderr: str) -> Ending:
    """How the trainer ended, from the launcher's exit status and what was last on stderr."""
    if status == 0:
        return Ending()
    failure = parse_failure(stderr)
    if failure is not None:
        return Ending(reason=failure[1])
    if status < 0:
        return Ending(signal=signal.Signals(-status).name)
    killed = KILLED.findall(stderr)
    if killed:
        return Ending(signal="".join(killed[-1]))
    lines = stderr.strip().splitlines()
    return Ending(reason=lines[-1].strip() if lines else f"exit status {status}")

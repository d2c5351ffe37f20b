"""The real worker process with a fake trainer: `python -m tests.chaos.scripted_worker`.

The trainer is a process, started, monitored and terminated like the real one.
"""

import sys
from pathlib import Path

from tests.helpers.whole import NoChecks
from worker import main as wiring
from worker import trainer
from worker.__main__ import main


def launch_command(_: object, __: Path | None) -> list[str]:
    """Replaces `accelerate launch`; followed by `-m training CONFIG.json`."""
    return [sys.executable, "-m", "tests.chaos.scripted_trainer"]


if __name__ == "__main__":
    vars(trainer).update(launch_command=launch_command)
    vars(wiring).update(Checker=NoChecks)
    main()

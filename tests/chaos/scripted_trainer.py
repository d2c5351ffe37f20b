"""Fake training: a few slow steps, then an adapter published atomically."""

import shutil
import sys
import time
from pathlib import Path

from tests.helpers.checkpoint_files import make_adapter
from training.config import TrainingConfig, TrainingStep
from training.watch import exit_with_worker

STEPS = 8
STEP_SECONDS = 0.3


def main(file: Path) -> None:
    """Train, unless the result exists."""
    exit_with_worker()
    config = TrainingConfig.read(file)
    if config.finished:
        return
    for step in range(1, STEPS + 1):
        time.sleep(STEP_SECONDS)
        line = TrainingStep(step, STEPS, 1 / step, 1e-4, float(step)).to_line()
        with config.progress.open("a", encoding="utf-8") as progress:
            progress.write(line + "\n")
    unfinished = config.output.with_name(f"{config.output.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    make_adapter(unfinished).rename(config.output)


if __name__ == "__main__":
    main(Path(sys.argv[-1]))

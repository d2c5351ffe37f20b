"""Where an interrupted training is taken up again."""
# ruff: noqa: ARG002  # transformers decides the callback's arguments

import json
import shutil
from pathlib import Path
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from training.dpo import REFERENCE

STATE = "trainer_state.json"
"""The file that transformers writes last into a checkpoint."""


class NoneAtTheEnd(TrainerCallback):
    """Leaves out the checkpoint after the last step.

    The result is published next. Resuming from such a checkpoint would train one step too many.
    """

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Take back what transformers' own callback, which runs before, has decided."""
        if state.global_step >= state.max_steps:
            control.should_save = False


def newest_complete(work: Path) -> Path | None:
    """The newest checkpoint that was written to its end; unfinished ones are deleted.

    The returned one is ready to be resumed from.
    """
    for checkpoint in sorted(work.glob("checkpoint-*"), key=_step, reverse=True):
        if _complete(checkpoint):
            # Where transformers finds adapters in sub-folders it reads only those, and would
            # leave the trained adapter as it was at the start. The reference is at hand anyway.
            shutil.rmtree(checkpoint / REFERENCE, ignore_errors=True)
            return checkpoint
        shutil.rmtree(checkpoint)
    return None


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / STATE).read_bytes())
    except (OSError, ValueError):
        return False
    return True

"""Reports every step as a line of the progress file."""
# ruff: noqa: ARG002  # transformers defines the callbacks' arguments

import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import (
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from training.config import Diverged, TrainingStep


class ProgressFile(TrainerCallback):
    """Appends one `TrainingStep` per optimiser step, in the first process only.

    A loss that is not finite raises `Diverged` in every process, so that no process trains, saves
    or publishes further.
    """

    def __init__(self, file: Path, dtype: str | None = None) -> None:
        """`dtype` is the training's number type, which every step names."""
        self._file = file
        self._dtype = dtype
        self._began = time.monotonic()

    def on_train_begin(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Start the clock, and complete a line that a killed run left unfinished."""
        self._began = time.monotonic()
        if state.is_world_process_zero and _unfinished(self._file):
            self._append("")

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: Mapping[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Write the step; the summary at the end of a training has no loss and is skipped."""
        if not logs or "loss" not in logs:
            return
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise Diverged(
                f"the loss of step {state.global_step} is {loss}; try a lower `learning_rate`"
            )
        if state.is_world_process_zero:
            step = TrainingStep(
                step=state.global_step,
                total_steps=state.max_steps,
                loss=loss,
                learning_rate=float(logs["learning_rate"]),
                elapsed=time.monotonic() - self._began,
                margin=logs.get("rewards/margins"),
                accuracy=logs.get("rewards/accuracies"),
                dtype=self._dtype,
            )
            self._append(step.to_line())

    def _append(self, line: str) -> None:
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")


def _unfinished(file: Path) -> bool:
    content = file.read_bytes() if file.exists() else b""
    return bool(content) and not content.endswith(b"\n")

"""The stages of an iteration while they run: bars on a terminal, lines anywhere else."""

import time
from dataclasses import dataclass

from rich.progress import BarColumn, Progress, TaskID, TextColumn

from app.api.admin.schemas import IterationOut, StageOut, StepOut
from app.cli.console import clean, err
from app.cli.draw_iterations import duration, seconds_between, stage_counts, stage_notes
from app.domain.iteration import Stage, Status

_STYLES = {
    Status.QUEUED: "dim",
    Status.RUNNING: "bold",
    Status.SUCCEEDED: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "yellow",
}
_UNITS = {"loss": ".3f", "margin": ".3f", "accuracy": ".2f"}


@dataclass(frozen=True, slots=True)
class _Pace:
    """How far a stage was when it was first seen running; `at` is a monotonic time."""

    at: float
    done: int


class StageDisplay:
    """Shows an iteration on standard error; a context manager.

    On a terminal there is a bar for each stage, and the last state stays when it is left.
    Elsewhere there is a line for each stage that has ended. `silent` shows bars only.
    """

    def __init__(self, *, silent: bool = False) -> None:
        console = err()
        self.began = False
        self._console = console
        self._lines = not (console.is_terminal or silent)
        self._bars = Progress(
            TextColumn("{task.description}", style="bold"),
            BarColumn(bar_width=24),
            TextColumn("{task.fields[counts]}"),
            TextColumn("{task.fields[time]}", style="cyan"),
            TextColumn("{task.fields[notes]}", style="dim", markup=False),
            console=console,
            disable=not console.is_terminal,
            transient=silent,
        )
        self._tasks: dict[Stage, TaskID] = {}
        self._shown: dict[Stage, Status] = {}
        self._paces: dict[Stage, _Pace] = {}
        self._step = ""

    def __enter__(self) -> "StageDisplay":
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def show(self, iteration: IterationOut) -> None:
        """The iteration as it is now."""
        if not self.began and self._lines:
            self._print(f"iteration {iteration.id} ({iteration.preset}), {iteration.status}")
        self.began = True
        for stage in iteration.stages:
            self._show_bar(stage)
            if self._lines and stage.status.final and self._shown.get(stage.name) != stage.status:
                parts = (stage.name, stage.status, stage_counts(stage), _took(stage))
                self._print("  ".join([*filter(None, parts), stage_notes(stage)]).rstrip())
            self._shown[stage.name] = stage.status

    def show_step(self, step: StepOut) -> None:
        """What the trainer reported last."""
        self._step = step_text(step)
        if Stage.TRAIN in self._tasks:
            self._bars.update(self._tasks[Stage.TRAIN], notes=self._step)

    def _show_bar(self, stage: StageOut) -> None:
        if stage.name not in self._tasks:
            self._tasks[stage.name] = self._bars.add_task(stage.name, counts="", time="", notes="")
        running = stage.status is Status.RUNNING
        training = running and stage.name is Stage.TRAIN
        total: int | None = stage.total or 1
        if running and not stage.total:
            total = None  # The bar then only says that something is going on.
        self._bars.update(
            self._tasks[stage.name],
            description=f"[{_STYLES[stage.status]}]{stage.name}[/]",
            total=total,
            completed=total if stage.status is Status.SUCCEEDED else stage.done,
            counts=stage_counts(stage),
            time=self._remaining(stage) if running else _took(stage),
            notes=self._step if training else stage_notes(stage),
        )

    def _remaining(self, stage: StageOut) -> str:
        """How long the rest takes at the pace seen so far; empty while nothing was seen."""
        now = time.monotonic()
        pace = self._paces.setdefault(stage.name, _Pace(now, stage.done))
        made = stage.done - pace.done
        if made <= 0 or not stage.total:
            return ""
        left = (now - pace.at) / made * (stage.total - stage.done)
        return f"{duration(left)} left"

    def _print(self, line: str) -> None:
        self._console.print(clean(line), soft_wrap=True)


def step_text(step: StepOut) -> str:
    """`actor step 3/12, loss 0.693, margin 0.021, accuracy 0.75`."""
    total = step.metrics.get("total_steps")
    parts = [f"{step.role} step {step.step}" + (f"/{total}" if isinstance(total, int) else "")]
    for name, form in _UNITS.items():
        value = step.metrics.get(name)
        if isinstance(value, int | float):
            parts.append(f"{name} {value:{form}}")
    return ", ".join(parts)


def _took(stage: StageOut) -> str:
    seconds = seconds_between(stage.started_at, stage.finished_at)
    return "" if seconds is None else duration(seconds)

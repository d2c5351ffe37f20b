"""Live progress on a terminal: the nodes of a search, the stages of an iteration."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.spinner import Spinner
from rich.text import Text

from app.api.admin.schemas import IterationOut, StageOut, StepOut
from app.api.schemas import NodeOut
from app.cli.client import (
    Event,
    Final,
    JsonObject,
    NodeAccepted,
    NodeSeen,
    TextDelta,
)
from app.cli.console import clean, count, err, out
from app.cli.draw import draw_tree, is_judged
from app.cli.draw_admin import (
    STATUS_STYLES,
    duration,
    seconds_between,
    stage_counts,
    stage_notes,
)
from app.domain.iteration import Stage, Status
from app.http_client import ConnectionLost

_UNITS = {"loss": ".3f", "margin": ".3f", "accuracy": ".2f"}


class SearchProgress:
    """The nodes and the text of a running search."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self.nodes: dict[int, NodeOut] = {}
        self.text = ""

    def add(self, event: Event) -> None:
        """Apply one event."""
        match event:
            case NodeSeen(node):
                self.nodes[node.id] = node
            case NodeAccepted(node_id) if node_id in self.nodes:
                node = self.nodes[node_id]
                self.nodes[node_id] = node.model_copy(update={"accepted": True})
            case TextDelta(text):
                self.text += text
            case _:
                pass

    @property
    def counts(self) -> str:
        """`5 nodes, 3 judged, best value 0.60`."""
        nodes = [node for node in self.nodes.values() if node.parent is not None]
        values = [node.value for node in nodes if node.value is not None]
        parts = [count(len(nodes), "node"), f"{sum(map(is_judged, nodes))} judged"]
        if values:
            parts.append(f"best value {max(values):.2f}")
        return ", ".join(parts)


class SearchDisplay:
    """A spinner with counts on standard error, or with the tree on standard output.

    Draws nothing where there is no terminal; what it draws is removed at the end.
    """

    def __init__(self, progress: SearchProgress, *, tree: bool) -> None:
        self._progress = progress
        self._tree = tree
        self._spinner = Spinner("dots", Text("waiting for the server"))
        self._live = Live(
            self._spinner,
            console=out() if tree else err(),
            transient=True,
            refresh_per_second=10,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> "SearchDisplay":
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def update(self) -> None:
        """Show the progress made."""
        self._spinner.update(text=Text(self._progress.counts))
        self._live.update(self._frame())

    def stop(self) -> None:
        """Remove what is shown."""
        # Emptied first: rich would print a frame taller than the screen in full and leave it.
        self._live.update(Text(""))
        self._live.stop()

    def _frame(self) -> RenderableType:
        if not self._tree:
            return self._spinner
        return Group(self._spinner, draw_tree(self._progress.prompt, self._progress.nodes.values()))


def follow_search(
    events: Iterable[Event], progress: SearchProgress, display: SearchDisplay, *, write_text: bool
) -> JsonObject:
    """Show events until the final one, and return its answer.

    Args:
        write_text: Print the text of a greedy answer to standard output as it arrives.

    Raises:
        ConnectionLost: The events ended without an answer.
    """
    try:
        for event in events:
            if isinstance(event, Final):
                return event.answer
            progress.add(event)
            if isinstance(event, TextDelta) and write_text:
                display.stop()
                print(clean(event.text), end="", flush=True)
            else:
                display.update()
    finally:
        if write_text and progress.text:
            print()
    raise ConnectionLost("the server ended its events early")


@dataclass(frozen=True, slots=True)
class _Pace:
    """The progress of a stage when it was first seen running; `at` is a monotonic time."""

    at: float
    done: int


class StageDisplay:
    """Shows an iteration on standard error; a context manager.

    On a terminal there is a bar for each stage, and the last state stays at the end. Elsewhere
    there is a line for each stage that has ended. `silent`: bars only, removed at the end.
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
        """Show the current state of the iteration."""
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
        """Show the trainer's latest report."""
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
            total = None  # An indeterminate bar.
        self._bars.update(
            self._tasks[stage.name],
            description=f"[{STATUS_STYLES[stage.status]}]{stage.name}[/]",
            total=total,
            completed=total if stage.status is Status.SUCCEEDED else stage.done,
            counts=stage_counts(stage),
            time=self._remaining(stage) if running else _took(stage),
            notes=self._step if training else stage_notes(stage),
        )

    def _remaining(self, stage: StageOut) -> str:
        """Estimated time left at the pace seen so far; empty while it is unknown."""
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

"""What `spar iterate` and its relatives do once their arguments are read."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.spinner import Spinner
from rich.text import Text

from app.api.admin.schemas import IterationIn, IterationOut, StageOut, StepOut
from app.api.schemas import NodeOut
from app.cli.admin import Admin
from app.cli.client import (
    Event,
    Final,
    JsonObject,
    NodeAccepted,
    NodeSeen,
    TextDelta,
)
from app.cli.console import clean, count, err, out, print_error, print_json, say
from app.cli.draw import draw_tree, is_judged
from app.cli.draw_admin import draw_outcome, duration, seconds_between, stage_counts, stage_notes
from app.cli.options import checked, given
from app.domain.iteration import Stage, Status
from app.errors import SparError
from app.http_client import ConnectionLost, ServerUnreachable

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


class SearchProgress:
    """What is known of a running search."""

    def __init__(self, prompt: str) -> None:
        self.prompt = prompt
        self.nodes: dict[int, NodeOut] = {}
        self.text = ""

    def add(self, event: Event) -> None:
        """Take one event into account."""
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


class Display:
    """A spinner with counts on standard error, or with the tree on standard output.

    Draws nothing where there is no terminal, and leaves nothing behind.
    """

    def __init__(self, progress: SearchProgress, *, tree: bool) -> None:
        self._progress = progress
        self._tree = tree
        self._spinner = Spinner("dots", Text("asking the server"))
        self._live = Live(
            self._spinner,
            console=out() if tree else err(),
            transient=True,
            refresh_per_second=10,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    def __enter__(self) -> "Display":
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


def follow(
    events: Iterable[Event], progress: SearchProgress, display: Display, *, write_text: bool
) -> JsonObject:
    """Show events until the final one, and return its answer.

    With `write_text` the text of a greedy answer goes to standard output as it comes. Raises
    `ConnectionLost` where the events end without an answer.
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


RECONNECTIONS = 30
RECONNECT_SECONDS = 2.0
"""A server that restarts with its engine is away for about a minute at most."""


def request(
    *, preset: str, promote: str, overrides: list[str] | None, seed: int | None, **more: str
) -> IterationIn:
    """The iteration that the options ask for; raises `typer.BadParameter`."""
    values = parse_overrides(overrides or []) | given(seed=seed)
    body = {"preset": preset, "promote": promote, "overrides": values, **more}
    return checked(IterationIn, body)


def parse_overrides(texts: list[str]) -> dict[str, Any]:
    """`["data.prompts=12"]` as `{"data": {"prompts": 12}}`; what is not JSON is text.

    Raises `typer.BadParameter`.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not all(name.split(".")):
            raise typer.BadParameter(f"{text!r} is not like data.prompts=12", param_hint="--set")
        *parents, last = name.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
            if not isinstance(place, dict):
                raise typer.BadParameter(f"{parent!r} is set to a value too", param_hint="--set")
        place[last] = _value(value)
    return values


def queue(admin: Admin, body: IterationIn, *, detach: bool, as_json: bool) -> None:
    """Queue an iteration, and follow it to its end unless told not to."""
    raw = admin.queue(body)
    queued = admin.read(IterationOut, raw)
    if not detach:
        follow_to_end(admin, queued.id, as_json=as_json)
    elif as_json:
        print_json(raw)
    else:
        say(
            f"Iteration {queued.id} is {queued.status}.\nFollow it: {_command('follow', queued.id)}"
        )


def follow_to_end(admin: Admin, iteration_id: str, *, as_json: bool) -> None:
    """Show an iteration while it runs, then its outcome.

    Raises `typer.Exit` where it does not succeed, and the errors of `Client`.
    """
    try:
        with StageDisplay(silent=as_json) as display:
            _follow(admin, iteration_id, display)
    except KeyboardInterrupt:
        err().print(
            f"\nIteration {iteration_id} goes on without you.\n"
            f"Follow it:  {_command('follow', iteration_id)}\n"
            f"Cancel it:  {_command('cancel', iteration_id)}",
            soft_wrap=True,
        )
        raise
    raw = admin.iteration(iteration_id)
    iteration = admin.read(IterationOut, raw)
    if as_json:
        print_json(raw)
    else:
        out().print(draw_outcome(iteration), soft_wrap=True)
    if iteration.status is not Status.SUCCEEDED:
        if iteration.error:
            print_error(SparError(iteration.error))
        raise typer.Exit(1)


def _follow(admin: Admin, iteration_id: str, display: StageDisplay) -> None:
    """Show everything until the iteration has ended; a server may restart meanwhile."""
    lost = 0
    while True:
        try:
            with admin.follow(iteration_id) as updates:
                for update in updates:
                    lost = 0
                    if isinstance(update, StepOut):
                        display.show_step(update)
                        continue
                    display.show(update)
                    if update.status.final:
                        return
            raise ConnectionLost("the server ended its events early")
        except (ConnectionLost, ServerUnreachable):
            lost += 1
            if not display.began or lost > RECONNECTIONS:
                raise
            time.sleep(RECONNECT_SECONDS)


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return text


def _not_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _command(name: str, iteration_id: str) -> str:
    return f"spar iterations {name} {iteration_id}"

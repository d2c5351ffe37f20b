"""Iterations, checkpoints, servers, keys and the audit log as terminal tables."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.api.admin.schemas import IterationOut, ServerOut, ServingOut, StageOut, VersionOut
from app.cli.console import clean
from app.cli.draw import new_table
from app.db.keys import StoredAction
from app.domain.checkpoint import CheckpointStatus, Role, served_name
from app.domain.iteration import Status
from app.domain.key import Key, KeyLimits

_CHECKPOINT_STYLES = {
    CheckpointStatus.TRAINING: "cyan",
    CheckpointStatus.CANDIDATE: "",
    CheckpointStatus.REJECTED: "yellow",
    CheckpointStatus.PROMOTED: "green",
}
STATUS_STYLES = {
    Status.QUEUED: "dim",
    Status.RUNNING: "cyan",
    Status.SUCCEEDED: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "yellow",
}


def draw_checkpoints(checkpoints: Sequence[VersionOut]) -> RenderableType:
    """Versions, one line each, then the errors of those that could not be loaded."""
    table = new_table("Version", "Serves", "Status", "Kind", "From", "Iteration")
    errors = Text(style="red")
    for one in checkpoints:
        name = served_name(one.role, one.version)
        table.add_row(
            Text(name, no_wrap=True),
            Text("yes" if one.serving else "", "green"),
            Text(one.status, _CHECKPOINT_STYLES[one.status]),
            Text(one.kind),
            Text("" if one.parent is None else served_name(one.role, one.parent)),
            Text(clean(one.iteration or ""), no_wrap=True),
        )
        if one.error:
            errors.append(f"{name}: {clean(one.error)}\n")
    errors.rstrip()
    return Group(table, errors) if errors else table


def draw_servers(serving: ServingOut) -> Table:
    """Servers, one line each; versions that differ from the promoted ones are highlighted."""
    table = new_table("Server", "Actor", "Refiner", "Ready", "Error")
    for server in serving.servers:
        table.add_row(
            Text(clean(server.url), no_wrap=True),
            _version(server.actor, serving.promoted.actor),
            _version(server.refiner, serving.promoted.refiner),
            _ready(server),
            Text(clean(server.error or ""), "red"),
        )
    return table


def _version(served: int, promoted: int) -> Text:
    return Text(str(served), "" if served == promoted else "yellow")


def _ready(server: ServerOut) -> Text:
    return Text("yes", "green") if server.ready else Text("no", "red")


def draw_keys(keys: Sequence[Key]) -> Table:
    """Keys, one line each."""
    table = new_table("Key", "Name", "Scopes", "Limits", "Created", "Last used")
    for key in keys:
        revoked = key.revoked_at is not None
        used = f"revoked {_time(key.revoked_at)}" if revoked else _time(key.used_at) or "never"
        table.add_row(
            Text(key.id, no_wrap=True),
            Text(clean(key.name)),
            Text(" ".join(sorted(key.scopes))),
            Text(_limits(key.limits)),
            Text(_time(key.created_at), no_wrap=True),
            Text(used, "red" if revoked else ""),
        )
    return table


def draw_audit(actions: Sequence[StoredAction]) -> Table:
    """Actions, one line each; failures are highlighted."""
    table = new_table("When", "Who", "What", "Outcome")
    for one in actions:
        outcome = "unknown" if one.status is None else str(one.status)
        good = one.status is not None and one.status < 400
        table.add_row(
            Text(_time(one.created_at), no_wrap=True),
            Text(clean(one.action.who)),
            Text(clean(one.action.action)),
            Text(outcome, "" if good else "red"),
        )
    return table


def _limits(limits: KeyLimits) -> str:
    named = (
        (limits.requests_per_minute, "requests/min"),
        (limits.tokens_per_minute, "tokens/min"),
        (limits.searches, "at a time"),
    )
    return ", ".join(f"{number:,} {what}" for number, what in named if number is not None) or "none"


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"


_MOST_NOTES = 4


class Comparison(BaseModel):
    """One metric of the candidate and the incumbent, with the 95 % interval of the difference."""

    name: str
    candidate: float
    incumbent: float
    difference: float
    low: float
    high: float
    n: int


class RoleReport(BaseModel):
    primary: Comparison
    others: list[Comparison]


class GateReport(BaseModel):
    """What the gate measured, which roles it promoted, and why."""

    promoted: list[Role]
    reasons: dict[Role, str]
    reports: dict[Role, RoleReport]


def draw_iterations(iterations: Iterable[IterationOut]) -> Table:
    """Iterations, one line each."""
    table = new_table("Iteration", "Status", "Stage", "Created", "Made")
    for one in iterations:
        table.add_row(
            Text(clean(one.id), no_wrap=True),
            Text(one.status, STATUS_STYLES[one.status], no_wrap=True),
            Text(one.stage or "", no_wrap=True),
            Text(f"{one.created_at:%d %b %H:%M}", no_wrap=True),
            Text("\n".join(served_name(made.role, made.version) for made in one.checkpoints)),
        )
    return table


def draw_stages(iteration: IterationOut) -> Table:
    """The stages, one line each."""
    table = new_table("Stage", "Status", "Done", "Time", "Counted")
    for stage in iteration.stages:
        seconds = seconds_between(stage.started_at, stage.finished_at)
        table.add_row(
            Text(stage.name),
            Text(stage.status, STATUS_STYLES[stage.status]),
            Text(stage_counts(stage)),
            Text("" if seconds is None else duration(seconds)),
            Text(stage_notes(stage)),
        )
    return table


def draw_outcome(iteration: IterationOut) -> RenderableType:
    """The outcome of an iteration: the gate's report, if there is one, and a summary."""
    line = Text.assemble(
        f"iteration {clean(iteration.id)} ({clean(iteration.preset)}) ",
        (iteration.status, STATUS_STYLES[iteration.status]),
    )
    seconds = seconds_between(iteration.started_at, iteration.finished_at)
    if seconds is not None:
        line.append(f" after {duration(seconds)}")
    if iteration.checkpoints:
        line.append(f"; {_checkpoints(iteration)}")
    if iteration.error:
        line.append(f"\n{clean(iteration.error)}", "red")
    if iteration.report is None:
        return line
    return Group(draw_report(iteration.report), line)


def draw_report(report: Any) -> RenderableType:
    """The gate's metrics as a table, and its reasons; a report of another form as JSON."""
    try:
        read = GateReport.model_validate(report)
    except ValidationError:
        return Text(clean(json.dumps(report, indent=2, ensure_ascii=False)))
    table = new_table("Role", "Measured", "Before", "Now", "Difference", "95 %", "n")
    for role, measured in read.reports.items():
        for metric in (measured.primary, *measured.others):
            table.add_row(*_cells(role, metric, primary=metric is measured.primary))
    reasons = Text()
    for role, reason in read.reasons.items():
        mark = ("promoted", "green") if role in read.promoted else ("not promoted", "yellow")
        reasons.append_text(Text.assemble(f"{role}: ", mark, f" ({clean(reason)})\n"))
    reasons.rstrip()
    return Group(table, reasons)


def stage_counts(stage: StageOut) -> str:
    """`12/24`; nothing before the total is known."""
    return f"{stage.done:,}/{stage.total:,}" if stage.total else ""


def stage_notes(stage: StageOut) -> str:
    """The first metrics of a stage: `responses 96, accepted 40`."""
    plain = [
        f"{name.replace('_', ' ')} {_number(value)}"
        for name, value in stage.metrics.items()
        if isinstance(value, str | int | float)
    ]
    return clean(", ".join(plain[:_MOST_NOTES]))


def duration(seconds: float) -> str:
    """`8 s`, `2 min 5 s`, `1 h 10 min`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def seconds_between(start: datetime | None, end: datetime | None) -> float | None:
    """The seconds between two times; None where one of them is missing."""
    return None if start is None or end is None else (end - start).total_seconds()


def _cells(role: Role, metric: Comparison, *, primary: bool) -> list[Text]:
    style = "green" if metric.low > 0 else "red" if metric.high < 0 else ""
    return [
        Text(role if primary else ""),
        Text(clean(metric.name), "bold" if primary else ""),
        Text(f"{metric.incumbent:.3f}"),
        Text(f"{metric.candidate:.3f}"),
        Text(f"{metric.difference:+.3f}", style),
        Text(f"{metric.low:+.3f} to {metric.high:+.3f}"),
        Text(str(metric.n)),
    ]


def _checkpoints(iteration: IterationOut) -> str:
    return ", ".join(
        f"{served_name(one.role, one.version)} {one.status}" for one in iteration.checkpoints
    )


def _number(value: str | float) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

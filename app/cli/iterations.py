"""`spar iterate` and `spar iterations`: start self-play iterations, follow and control them."""

import json
import time
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from app.cli import options
from app.cli.options import checked, given, with_default

if TYPE_CHECKING:
    from app.api.admin.schemas import IterationIn, IterationOut
    from app.cli.admin import Admin
    from app.cli.client import JsonObject
    from app.cli.progress import StageDisplay

Promote = Annotated[
    Literal["gate", "always", "never"],
    typer.Option(help="Promote a checkpoint that measures better (gate), or always, or never."),
]
Preset = Annotated[str, typer.Option(help="Size: micro, tiny, small or paper.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="Overrides a value of the preset, such as data.prompts=12; JSON. Repeatable.",
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Seed; makes the iteration reproducible.")]
Detach = Annotated[bool, typer.Option("--detach", help="Queue it without following it.")]
IterationId = Annotated[str, typer.Argument(metavar="ID", help="Id of the iteration.")]

RECONNECTIONS = 30
RECONNECT_SECONDS = 2.0
"""A server that restarts with its engine is unreachable for about a minute at most."""

iterations = typer.Typer(
    cls=with_default("list"), help="Self-play iterations; without a command, the newest ones."
)


def iterate(
    preset: Preset = "tiny",
    promote: Promote = "gate",
    override: Overrides = None,
    seed: Seed = None,
    detach: Detach = False,
    as_json: options.Json = False,
    url: options.Url = "",
) -> None:
    """Run a self-play iteration: make training data, train, evaluate, promote.

    The server queues it and a worker runs it. Ctrl-C only stops following it.
    """
    from app.cli.admin import Admin

    body = iteration_request(preset=preset, promote=promote, overrides=override, seed=seed)
    with Admin(url) as admin:
        queue(admin, body, detach=detach, as_json=as_json)


@iterations.command("list")
def list_iterations(
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, newest first.")] = 20,
    as_json: options.Json = False,
    url: options.Url = "",
) -> None:
    """List the newest iterations."""
    from app.api.admin.schemas import IterationPageOut
    from app.cli.admin import Admin
    from app.cli.console import out, print_json
    from app.cli.draw_admin import draw_iterations

    with Admin(url) as admin:
        raw = admin.iterations(limit)
        if as_json:
            print_json(raw)
        else:
            out().print(draw_iterations(admin.read(IterationPageOut, raw).iterations))


@iterations.command("show")
def show(iteration_id: IterationId, as_json: options.Json = False, url: options.Url = "") -> None:
    """Show an iteration: its stages, its checkpoints, its metrics."""
    from app.api.admin.schemas import IterationOut
    from app.cli.admin import Admin
    from app.cli.console import out, print_json
    from app.cli.draw_admin import draw_outcome, draw_stages

    with Admin(url) as admin:
        raw = admin.iteration(iteration_id)
        if as_json:
            print_json(raw)
            return
        iteration = admin.read(IterationOut, raw)
    out().print(draw_stages(iteration))
    out().print(draw_outcome(iteration), soft_wrap=True)


@iterations.command("follow")
def follow(iteration_id: IterationId, as_json: options.Json = False, url: options.Url = "") -> None:
    """Follow an iteration until it has ended. Ctrl-C only stops following it."""
    from app.cli.admin import Admin

    with Admin(url) as admin:
        follow_to_end(admin, iteration_id, as_json=as_json)


@iterations.command("cancel")
def cancel(iteration_id: IterationId, as_json: options.Json = False, url: options.Url = "") -> None:
    """Cancel an iteration; it can be resumed."""
    from app.cli.admin import Admin

    with Admin(url) as admin:
        _print_status(admin, admin.cancel(iteration_id), as_json=as_json)


@iterations.command("resume")
def resume(iteration_id: IterationId, as_json: options.Json = False, url: options.Url = "") -> None:
    """Resume a failed or cancelled iteration where it stopped."""
    from app.cli.admin import Admin

    with Admin(url) as admin:
        _print_status(admin, admin.resume(iteration_id), as_json=as_json)


def iteration_request(
    *, preset: str, promote: str, overrides: list[str] | None, seed: int | None, **more: str
) -> "IterationIn":
    """The requested iteration; `more` are its other fields.

    Raises:
        typer.BadParameter: An option is invalid.
    """
    from app.api.admin.schemas import IterationIn

    values = parse_overrides(overrides or []) | given(seed=seed)
    body = {"preset": preset, "promote": promote, "overrides": values, **more}
    return checked(IterationIn, body)


def parse_overrides(texts: list[str]) -> dict[str, Any]:
    """`["data.prompts=12"]` as `{"data": {"prompts": 12}}`; a value that is not JSON is a string.

    Raises:
        typer.BadParameter: A text has no name or value, or two of them contradict each other.
    """
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not equals or not all(name.split(".")):
            raise typer.BadParameter(f"{text!r} is not like data.prompts=12", param_hint="--set")
        *parents, last = name.split(".")
        group = values
        for parent in parents:
            group = group.setdefault(parent, {})
            if not isinstance(group, dict):
                raise typer.BadParameter(f"{parent!r} is set to a value too", param_hint="--set")
        group[last] = _value(value)
    return values


def queue(admin: "Admin", body: "IterationIn", *, detach: bool, as_json: bool) -> None:
    """Queue an iteration, and follow it to its end unless `detach`."""
    from app.api.admin.schemas import IterationOut

    raw = admin.queue(body)
    if detach:
        _print_status(admin, raw, as_json=as_json)
    else:
        follow_to_end(admin, admin.read(IterationOut, raw).id, as_json=as_json)


def follow_to_end(admin: "Admin", iteration_id: str, *, as_json: bool) -> None:
    """Show an iteration while it runs, then its outcome.

    Raises:
        typer.Exit: It did not succeed.
        SparError: The errors of `Client`.
    """
    from app.api.admin.schemas import IterationOut
    from app.cli.console import err, out, print_error, print_json
    from app.cli.draw_admin import draw_outcome
    from app.cli.progress import StageDisplay
    from app.domain.iteration import Status
    from app.errors import SparError

    try:
        with StageDisplay(silent=as_json) as display:
            _follow(admin, iteration_id, display)
    except KeyboardInterrupt:
        err().print(
            f"\nIteration {iteration_id} continues on the server.\n"
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
        if not as_json:
            err().print(_next_command(iteration), soft_wrap=True)
        raise typer.Exit(1)


def _follow(admin: "Admin", iteration_id: str, display: "StageDisplay") -> None:
    """Show every update until the iteration has ended; reconnects while a server restarts."""
    from app.api.admin.schemas import StepOut
    from app.http_client import ConnectionLost, ServerUnreachable

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


def _print_status(admin: "Admin", raw: "JsonObject", *, as_json: bool) -> None:
    """Print the status of an iteration and the next command to run."""
    from app.api.admin.schemas import IterationOut
    from app.cli.console import print_json, say

    iteration = admin.read(IterationOut, raw)
    if as_json:
        print_json(raw)
        return
    ending = iteration.cancel_requested and not iteration.status.final
    then = ", and ends as soon as its worker notices" if ending else ""
    say(f"Iteration {iteration.id} is {iteration.status}{then}.\n{_next_command(iteration)}")


def _next_command(iteration: "IterationOut") -> str:
    from app.domain.iteration import Status

    if iteration.cancel_requested or iteration.status in (Status.FAILED, Status.CANCELLED):
        return f"Resume it: {_command('resume', iteration.id)}"
    name = "show" if iteration.status.final else "follow"
    return f"{name.capitalize()} it: {_command(name, iteration.id)}"


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_not_json)
    except (ValueError, RecursionError):
        return text


def _not_json(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _command(name: str, iteration_id: str) -> str:
    return f"spar iterations {name} {iteration_id}"

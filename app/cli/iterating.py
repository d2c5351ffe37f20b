"""What `spar iterate` and its relatives do once their arguments are read."""

import json
import time
from typing import Any

import typer

from app.api.admin.schemas import IterationIn, IterationOut, StepOut
from app.cli.admin import Admin
from app.cli.client import ConnectionLost, ServerUnreachable
from app.cli.console import err, out, print_error, print_json, say
from app.cli.draw_iterations import draw_outcome
from app.cli.request import checked, given
from app.cli.stages import StageDisplay
from app.domain.iteration import Status
from app.errors import SparError

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

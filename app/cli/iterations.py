"""`spar iterate` and `spar iterations`: start self-play iterations, and look after them."""

from typing import Annotated, Literal

import typer

from app.cli import options
from app.cli.groups import with_default

Promote = Annotated[
    Literal["gate", "always", "never"],
    typer.Option(help="Promote what measures better, or always, or never."),
]
Preset = Annotated[str, typer.Option(help="Size: micro, tiny, small or paper.")]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="NAME=VALUE",
        help="A value in place of the preset's, such as data.prompts=12; JSON. Repeatable.",
    ),
]
Seed = Annotated[int | None, typer.Option(min=0, help="Makes the iteration reproducible.")]
Detach = Annotated[bool, typer.Option("--detach", help="Queue it, and do not follow it.")]
IterationId = Annotated[str, typer.Argument(metavar="ID", help="Id of the iteration.")]

iterations = typer.Typer(
    cls=with_default("list"), help="Self-play iterations; alone, the newest ones."
)


def iterate(
    preset: Preset = "tiny",
    promote: Promote = "gate",
    override: Overrides = None,
    seed: Seed = None,
    detach: Detach = False,
    as_json: options.Json = False,
    url: options.Url = options.DEFAULT_URL,
) -> None:
    """Run a self-play iteration: make training data, train, measure, promote what is better.

    The server queues it and a worker does it. Ctrl-C only stops following it.
    """
    from app.cli.admin import Admin
    from app.cli.following import queue, request

    body = request(preset=preset, promote=promote, overrides=override, seed=seed)
    with Admin(url) as admin:
        queue(admin, body, detach=detach, as_json=as_json)


@iterations.command("list")
def list_iterations(
    limit: Annotated[int, typer.Option(min=1, max=200, help="How many, newest first.")] = 20,
    as_json: options.Json = False,
    url: options.Url = options.DEFAULT_URL,
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
def show(
    iteration_id: IterationId,
    as_json: options.Json = False,
    url: options.Url = options.DEFAULT_URL,
) -> None:
    """Show an iteration: its stages, its checkpoints, what was measured."""
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
def follow(
    iteration_id: IterationId,
    as_json: options.Json = False,
    url: options.Url = options.DEFAULT_URL,
) -> None:
    """Follow an iteration until it has ended. Ctrl-C only stops following it."""
    from app.cli.admin import Admin
    from app.cli.following import follow_to_end

    with Admin(url) as admin:
        follow_to_end(admin, iteration_id, as_json=as_json)


@iterations.command("cancel")
def cancel(iteration_id: IterationId, url: options.Url = options.DEFAULT_URL) -> None:
    """Have an iteration end; it can be resumed."""
    from app.api.admin.schemas import IterationOut
    from app.cli.admin import Admin
    from app.cli.console import say

    with Admin(url) as admin:
        iteration = admin.read(IterationOut, admin.cancel(iteration_id))
    soon = "" if iteration.status.final else ", and ends as soon as its worker notices"
    say(f"Iteration {iteration.id} is {iteration.status}{soon}.")


@iterations.command("resume")
def resume(iteration_id: IterationId, url: options.Url = options.DEFAULT_URL) -> None:
    """Have a failed or cancelled iteration go on where it was."""
    from app.api.admin.schemas import IterationOut
    from app.cli.admin import Admin
    from app.cli.console import say

    with Admin(url) as admin:
        iteration = admin.read(IterationOut, admin.resume(iteration_id))
    say(f"Iteration {iteration.id} is {iteration.status}.")

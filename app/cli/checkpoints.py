"""`spar checkpoints` and `spar serving`: what there is to serve, and what is served."""

from typing import Annotated

import typer

from app.cli import options
from app.cli.groups import with_default
from app.domain.checkpoint import Role

checkpoints = typer.Typer(
    cls=with_default("list"), help="Versions of the actor and the refiner; alone, all of them."
)


@checkpoints.command("list")
def list_checkpoints(as_json: options.Json = False, url: options.Url = options.DEFAULT_URL) -> None:
    """List every version of each role."""
    from app.api.admin.schemas import VersionsOut
    from app.cli.admin import Admin
    from app.cli.console import out, print_json
    from app.cli.draw_admin import draw_checkpoints

    with Admin(url) as admin:
        raw = admin.checkpoints()
        if as_json:
            print_json(raw)
        else:
            out().print(draw_checkpoints(admin.read(VersionsOut, raw).checkpoints))


@checkpoints.command("promote")
def promote(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A version, such as actor@12.")],
    url: options.Url = options.DEFAULT_URL,
) -> None:
    """Have every server serve a version."""
    from app.api.schemas import CheckpointOut
    from app.cli.admin import Admin
    from app.cli.console import say
    from app.domain.checkpoint import parse_served_name

    parsed = parse_served_name(name)
    if parsed is None:
        raise typer.BadParameter(f"{name!r} is not like actor@12", param_hint="NAME")
    with Admin(url) as admin:
        now = admin.read(CheckpointOut, admin.promote(*parsed))
    say(f"To be served: actor@{now.actor}, refiner@{now.refiner}")


@checkpoints.command("rollback")
def roll_back(
    role: Annotated[Role, typer.Argument(help="Whose version.")],
    url: options.Url = options.DEFAULT_URL,
) -> None:
    """Have every server serve the version it served before."""
    from app.api.schemas import CheckpointOut
    from app.cli.admin import Admin
    from app.cli.console import say

    with Admin(url) as admin:
        now = admin.read(CheckpointOut, admin.roll_back(role))
    say(f"To be served: actor@{now.actor}, refiner@{now.refiner}")


def serving(as_json: options.Json = False, url: options.Url = options.DEFAULT_URL) -> None:
    """Show what is promoted, and what each server serves."""
    from app.api.admin.schemas import ServingOut
    from app.cli.admin import Admin
    from app.cli.console import out, print_json, say
    from app.cli.draw_admin import draw_servers

    with Admin(url) as admin:
        raw = admin.serving()
        if as_json:
            print_json(raw)
            return
        shown = admin.read(ServingOut, raw)
    say(f"Promoted: actor@{shown.promoted.actor}, refiner@{shown.promoted.refiner}")
    out().print(draw_servers(shown))

"""What checkpoints and servers look like on a terminal."""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from app.api.admin.schemas import ServerOut, ServingOut, VersionOut
from app.cli.console import clean
from app.cli.draw import new_table
from app.domain.checkpoint import CheckpointStatus, served_name

_STYLES = {
    CheckpointStatus.TRAINING: "cyan",
    CheckpointStatus.CANDIDATE: "",
    CheckpointStatus.REJECTED: "yellow",
    CheckpointStatus.PROMOTED: "green",
}


def draw_checkpoints(checkpoints: Sequence[VersionOut]) -> RenderableType:
    """Versions, one line each, then why some of them could not be loaded."""
    table = new_table("Version", "Serves", "Status", "Kind", "From", "Iteration")
    errors = Text(style="red")
    for one in checkpoints:
        name = served_name(one.role, one.version)
        table.add_row(
            Text(name, no_wrap=True),
            Text("yes" if one.serving else "", "green"),
            Text(one.status, _STYLES[one.status]),
            Text(one.kind),
            Text("" if one.parent is None else served_name(one.role, one.parent)),
            Text(clean(one.iteration or ""), no_wrap=True),
        )
        if one.error:
            errors.append(f"{name}: {clean(one.error)}\n")
    errors.rstrip()
    return Group(table, errors) if errors else table


def draw_servers(serving: ServingOut) -> Table:
    """Servers, one line each; what is not as promoted stands out."""
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

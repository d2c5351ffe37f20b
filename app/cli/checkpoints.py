"""`spar checkpoints` and `spar serving`: versions of the models, and which of them is served."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from app.cli import options
from app.cli.maintain import Data, DatabaseUrl
from app.cli.options import with_default
from app.domain.checkpoint import Role

if TYPE_CHECKING:
    from app.checkpoints.transfer import BaseModel
    from app.cli.admin import Admin
    from app.cli.client import JsonObject
    from app.config.settings import Settings

checkpoints = typer.Typer(
    cls=with_default("list"), help="Versions of both roles; without a command, the list."
)


@checkpoints.command("list")
def list_checkpoints(as_json: options.Json = False, url: options.Url = "") -> None:
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
    as_json: options.Json = False,
    url: options.Url = "",
) -> None:
    """Promote a version: every server activates it."""
    from app.cli.admin import Admin

    with Admin(url) as admin:
        _print_promoted(admin, admin.promote(*_parsed(name)), as_json=as_json)


@checkpoints.command("rollback")
def roll_back(
    role: Annotated[Role, typer.Argument(help="Role to roll back.")],
    as_json: options.Json = False,
    url: options.Url = "",
) -> None:
    """Promote the version of a role that was promoted before."""
    from app.cli.admin import Admin

    with Admin(url) as admin:
        _print_promoted(admin, admin.roll_back(role), as_json=as_json)


@checkpoints.command("export")
def export_checkpoint(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A version, such as actor@12.")],
    to: Annotated[Path, typer.Option("--to", help="Folder to write; must be new or empty.")],
    merge: Annotated[
        bool, typer.Option("--merge", help="Full weights, with the adapter merged into the base.")
    ] = False,
    data: Data = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Write a version to a folder that PEFT, transformers and vLLM load. Needs no server."""
    import asyncio

    from app.checkpoints import transfer
    from app.cli.console import say
    from app.db.session import Database

    checkpoint = _parsed(name)
    settings, base = _prepared(data, database_url)

    async def run() -> None:
        database = Database(settings.url)
        try:
            await transfer.export_checkpoint(
                database, settings.data, base, checkpoint, to, merge=merge, on_step=say
            )
        finally:
            await database.close()

    asyncio.run(run())
    say(f"Exported {name} to {to}")


@checkpoints.command("import")
def import_checkpoint(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A PEFT adapter, or full weights.")],
    role: Annotated[Role, typer.Option("--role", help="Whose version it becomes.")],
    data: Data = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Record a checkpoint trained elsewhere as a new version. Needs no server.

    It is verified like any other, and serves only once it is promoted.
    """
    import asyncio

    from app.checkpoints import transfer
    from app.cli.console import err, say
    from app.cli.maintain import record
    from app.db.session import Database
    from app.domain.checkpoint import served_name
    from app.engine.arguments import CPU_TARGETS, on_cpu

    settings, base = _prepared(data, database_url)
    targets = settings.adapter_targets
    if targets is None and not settings.remote_engines and on_cpu():
        targets = CPU_TARGETS
    limits = transfer.AdapterLimits(
        settings.adapter_rank,
        None if targets is None else frozenset(targets),
        settings.separate_engines,
    )

    async def run() -> transfer.Imported:
        database = Database(settings.url)
        try:
            imported = await transfer.import_checkpoint(
                database, settings.data, base, folder, role, limits, say
            )
            name = served_name(role, imported.version)
            async with database.session() as session:
                await record(session, f"checkpoints import {name} from {folder}")
            return imported
        finally:
            await database.close()

    imported = asyncio.run(run())
    for warning in imported.warnings:
        err().print(f"warning: {warning}", style="yellow", soft_wrap=True)
    name = served_name(role, imported.version)
    say(f"Imported as {name}. To serve it: spar checkpoints promote {name}")


def _parsed(name: str) -> tuple[Role, int]:
    from app.domain.checkpoint import parse_served_name

    parsed = parse_served_name(name)
    if parsed is None:
        raise typer.BadParameter(f"{name!r} is not like actor@12", param_hint="NAME")
    return parsed


def _prepared(data: Path | None, database_url: str | None) -> "tuple[Settings, BaseModel]":
    """The settings, with the database brought up to date, and the model that is served."""
    from app.checkpoints.transfer import BaseModel
    from app.cli.maintain import resolve
    from app.config.preflight import check_data_folder
    from app.config.settings import settings_from
    from app.db.upgrade import upgrade
    from app.model_files.resolve import PUBLIC_NAME, WEIGHTS_NOTE

    settings = settings_from(data=data, database_url=database_url)
    check_data_folder(settings.data)
    upgrade(settings.url)
    path = resolve(settings.model)
    if settings.model is None:
        return settings, BaseModel(path, PUBLIC_NAME, WEIGHTS_NOTE)
    return settings, BaseModel(path, settings.model)


def serving(as_json: options.Json = False, url: options.Url = "") -> None:
    """Show the promoted versions, and what each server serves."""
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


def _print_promoted(admin: "Admin", raw: "JsonObject", *, as_json: bool) -> None:
    from app.api.schemas import CheckpointOut
    from app.cli.console import print_json, say

    if as_json:
        print_json(raw)
        return
    promoted = admin.read(CheckpointOut, raw)
    say(f"Promoted: actor@{promoted.actor}, refiner@{promoted.refiner}")

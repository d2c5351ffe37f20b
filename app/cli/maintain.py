"""`spar db`, `model` and `doctor`, and what commands on the database share."""

import asyncio
import getpass
import re
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.cli import options
from app.errors import InvalidRequest

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from app.config.settings import Settings
    from app.db.prune import Old
    from app.db.session import Database

Result = TypeVar("Result")
Data = Annotated[
    Path | None, typer.Option(help="Folder of the database and the checkpoints (SPAR_DATA).")
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="Database URL, instead of the file in the folder (SPAR_DATABASE_URL)."),
]

db = typer.Typer(no_args_is_help=True, help="Maintain the database.")
model = typer.Typer(no_args_is_help=True, help="Prepare the embedded model.")

_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=36500)
_STYLES = {"ok": "green", "warn": "yellow", "fail": "bold red"}


@db.command("upgrade")
def upgrade_database(data: Data = None, database_url: DatabaseUrl = None) -> None:
    """Create the database, or migrate it to this version's schema."""
    from app.cli.console import say
    from app.config.preflight import check_data_folder
    from app.config.settings import settings_from
    from app.db.upgrade import upgrade

    settings = settings_from(data=data, database_url=database_url)
    check_data_folder(settings.data)
    upgrade(settings.url)
    say("The database is up to date.")


@db.command("prune")
def prune_database(
    older_than: Annotated[str, typer.Option(help="Delete searches older than this: 30d, 12h.")],
    keep_accepted: Annotated[
        bool, typer.Option("--keep-accepted", help="Keep searches whose answer was accepted.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count them.")] = False,
    data: Data = None,
    database_url: DatabaseUrl = None,
    as_json: options.Json = False,
) -> None:
    """Delete old searches, in batches, while servers run.

    Searches with feedback, and those that iterations made training data of, are kept.
    """
    from app.cli.console import count, print_json, say
    from app.config.settings import settings_from
    from app.db.prune import Old

    old = Old(datetime.now(UTC) - age(older_than), keep_accepted)
    settings = settings_from(data=data, database_url=database_url)
    number = asyncio.run(_prune(settings.url, old, dry_run=dry_run))
    if as_json:
        print_json({"searches": number, "deleted": not dry_run})
    else:
        searches = count(number, "search", "searches")
        say(f"{searches} would be deleted." if dry_run else f"Deleted {searches}.")


@model.command("prepare")
def prepare_model(as_json: options.Json = False) -> None:
    """Convert the embedded model now instead of at the first start."""
    from app.cli.console import print_json, say
    from app.model_files.resolve import resolve_model

    path = resolve_model(None, lambda *_: None) if as_json else resolve(None)
    if as_json:
        print_json({"model": path})
    else:
        say(f"The model is ready in {path}")


def doctor(
    host: Annotated[str | None, typer.Option(help="Address to listen on (SPAR_HOST).")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on (SPAR_PORT).")] = None,
    data: Data = None,
    database_url: DatabaseUrl = None,
    model: Annotated[
        str | None, typer.Option(help="Model folder or hub name (SPAR_MODEL).")
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Check this machine and the configuration; exit status 1 if something will not work."""
    from dataclasses import asdict

    from rich.text import Text

    from app.cli.console import clean, out, print_json
    from app.config.settings import settings_from
    from app.doctor import Level
    from app.doctor.examine import examine

    settings = settings_from(
        host=host, port=port, data=data, database_url=database_url, model=model
    )
    findings = list(examine(settings))
    if as_json:
        print_json([asdict(finding) for finding in findings])
    else:
        for finding in findings:
            fix = f" -> {finding.fix}" if finding.fix else ""
            out().print(
                Text.assemble(
                    (f"{finding.level:<5}", _STYLES[finding.level]),
                    f"{finding.check:<10}{clean(finding.words)}{clean(fix)}",
                ),
                soft_wrap=True,
            )
    if any(finding.level is Level.FAIL for finding in findings):
        raise typer.Exit(1)


def settings_in(folder: Path | None) -> "Settings":
    """The settings with this data folder, if one is named.

    Raises:
        ConfigurationError: A setting is invalid, or the folder cannot be written.
    """
    from app.config.preflight import check_data_folder
    from app.config.settings import settings_from

    settings = settings_from(data=folder)
    check_data_folder(settings.data)
    return settings


def within(url: str, work: "Callable[[Database], Awaitable[Result]]") -> Result:
    """Run `work` on the database at `url`, which is created or migrated first.

    Raises:
        ConfigurationError: The database cannot be opened or migrated.
    """
    from app.db.session import Database
    from app.db.upgrade import upgrade

    async def run() -> Result:
        database = Database(url)
        try:
            return await work(database)
        finally:
            await database.close()

    upgrade(url)
    return asyncio.run(run())


async def record(session: "AsyncSession", action: str) -> None:
    """Add an action to the audit log, in the caller's transaction."""
    from app.db.keys import Action, AuditRepository

    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "?"
    done = Action(who=f"command line ({user})", action=action)
    await AuditRepository(session).begin(done, status=200)


def resolve(name: str | None) -> str:
    """`resolve_model`, with a bar on a terminal and a line per step elsewhere.

    Raises:
        ConfigurationError: The model cannot be used.
    """
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    from app.cli.console import out, say
    from app.model_files.resolve import resolve_model

    console = out()
    if not console.is_terminal:
        return resolve_model(name, lambda step, _share: say(step))
    text = TextColumn("{task.description}", markup=False)
    columns = (text, BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=1.0, visible=False)
        return resolve_model(
            name,
            lambda step, share: bar.update(task, description=step, completed=share, visible=True),
        )


def age(text: str) -> timedelta:
    """`30d`, `12h`, `90m` or `2w`.

    Raises:
        InvalidRequest: It is anything else.
    """
    match = re.fullmatch(r"(\d{1,7})([mhdw])", text)
    found = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
    if found is None or found > _LONGEST:
        raise InvalidRequest(f"{text!r} is not an age: write 30d, 12h, 90m or 2w")
    return found


async def _prune(url: str, old: "Old", *, dry_run: bool) -> int:
    """Delete these searches, or only count them; how many they are.

    Raises:
        DatabaseError: The batches deleted until then stay deleted.
    """
    from app.cli.console import counting_bar
    from app.db.prune import count, prune
    from app.db.session import Database

    database = Database(url)
    try:
        total = await count(database, old)
        if dry_run:
            return total
        async with database.session() as session:
            kept = ", accepted ones kept" if old.keep_accepted else ""
            await record(session, f"db prune {old.before:%Y-%m-%dT%H:%M:%SZ}{kept}")
        deleted = 0
        with counting_bar() as bar:
            task = bar.add_task("deleting", total=total)
            async with aclosing(prune(database, old)) as batches:
                async for batch in batches:
                    deleted += batch
                    bar.update(task, completed=deleted)
        return deleted
    finally:
        await database.close()

"""`spar db`, `spar model` and `spar version`: looking after an installation."""

import getpass
import re
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from sqlalchemy.ext.asyncio import AsyncSession

from app import __version__
from app.cli.console import err, out, say
from app.config.preflight import check_data_folder
from app.config.settings import Settings, settings_from
from app.db.keys import Action, AuditRepository
from app.db.prune import Old, count, prune
from app.db.session import Database
from app.errors import InvalidRequest
from app.model_files.resolve import resolve_model


async def record(session: AsyncSession, action: str) -> None:
    """Put an action into the audit, in the transaction that it happens in."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "?"
    done = Action(who=f"command line ({user})", action=action)
    await AuditRepository(session).begin(done, status=200)


def settings_in(folder: Path | None) -> Settings:
    """The settings with this data folder, if one is named. Raises `ConfigurationError`."""
    settings = settings_from(data=folder)
    check_data_folder(settings.data)
    return settings


def resolve(name: str | None) -> str:
    """`resolve_model`, with a bar on a terminal and a line per step elsewhere.

    Raises `ConfigurationError` where the model cannot be used.
    """
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


_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_LONGEST = timedelta(days=36500)


def age(text: str) -> timedelta:
    """`30d`, `12h`, `90m` or `2w`. Raises `InvalidRequest` for anything else."""
    match = re.fullmatch(r"(\d{1,7})([mhdw])", text)
    found = timedelta(**{_UNITS[match[2]]: int(match[1])}) if match else None
    if found is None or found > _LONGEST:
        raise InvalidRequest(f"{text!r} is no age: write 30d, 12h, 90m or 2w", field="older_than")
    return found


async def run(url: str, older_than: timedelta, *, keep_accepted: bool, dry_run: bool) -> None:
    """Forget the searches older than that, or only say how many there are.

    Raises `DatabaseError`; what was forgotten until then stays forgotten.
    """
    old = Old(datetime.now(UTC) - older_than, keep_accepted)
    database = Database(url)
    try:
        total = await count(database, old)
        if dry_run:
            say(f"Would be forgotten: {_searches(total)}.")
        else:
            async with database.session() as session:
                kept = ", accepted ones kept" if keep_accepted else ""
                await record(session, f"db prune {old.before:%Y-%m-%dT%H:%M:%SZ}{kept}")
            await _prune(database, old, total)
    finally:
        await database.close()


async def _prune(database: Database, old: Old, total: int) -> None:
    gone = 0
    columns = (TextColumn("forgetting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err(), transient=True) as bar:
        task = bar.add_task("", total=total)
        async with aclosing(prune(database, old)) as batches:
            async for batch in batches:
                gone += batch
                bar.update(task, completed=gone)
    say(f"Forgotten: {_searches(gone)}.")


def _searches(number: int) -> str:
    return "1 search" if number == 1 else f"{number:,} searches"


Data = Annotated[
    Path | None, typer.Option(help="Folder of the database and the checkpoints (SPAR_DATA).")
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(help="Database URL, instead of the file in the folder (SPAR_DATABASE_URL)."),
]

db = typer.Typer(no_args_is_help=True, help="Look after the database.")
model = typer.Typer(no_args_is_help=True, help="Look after the embedded model.")


@db.command("upgrade")
def upgrade_database(data: Data = None, database_url: DatabaseUrl = None) -> None:
    """Create the database, or bring it to this version's layout."""
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
    older_than: Annotated[str, typer.Option(help="Forget searches older than this: 30d, 12h.")],
    keep_accepted: Annotated[
        bool, typer.Option("--keep-accepted", help="Keep searches whose answer was accepted.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say how many.")] = False,
    data: Data = None,
    database_url: DatabaseUrl = None,
) -> None:
    """Forget old searches, in batches, while servers go on.

    Searches with feedback, and those that iterations made training data of, are kept.
    """
    import asyncio

    from app.config.settings import settings_from

    settings = settings_from(data=data, database_url=database_url)
    asyncio.run(run(settings.url, age(older_than), keep_accepted=keep_accepted, dry_run=dry_run))


@model.command("prepare")
def prepare_model() -> None:
    """Convert the embedded model once, so that the first start need not."""
    from app.cli.console import say

    say(f"The model is ready in {resolve(None)}")


def version() -> None:
    """Print the installed version."""
    print(__version__)

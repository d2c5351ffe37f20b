"""What is kept: the data folder and the database."""

import asyncio
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, make_url, select
from sqlalchemy.exc import ArgumentError

from app.config.preflight import NEEDED_BYTES
from app.db.errors import DriverError, explain
from app.db.session import open_engine
from app.db.upgrade import alembic_config
from app.doctor.finding import Finding, fail, ok, warn
from app.errors import ConfigurationError

COMFORTABLE_BYTES = 5_000_000_000
"""Room for some iterations: adapters, samples, trainer checkpoints."""
PATIENCE_SECONDS = 1.5


def data_folder(folder: Path) -> Finding:
    """Whether the folder, or the one it will be made in, can be written and has room."""
    place = folder.absolute()
    while not place.exists() and place != place.parent:
        place = place.parent
    if not place.is_dir() or not os.access(place, os.W_OK | os.X_OK):
        return fail("data", f"{place} cannot be written", "give it to this user, or set SPAR_DATA")
    return room(folder, shutil.disk_usage(place).free)


def room(folder: Path, free: int) -> Finding:
    """Whether the disk has room; `free` in bytes."""
    words = f"{folder.absolute()}, {free / 1e9:.1f} GB free"
    if free < NEEDED_BYTES:
        return fail("data", words, f"free {NEEDED_BYTES // 1_000_000} MB, or set SPAR_DATA")
    if free < COMFORTABLE_BYTES:
        return warn("data", words, "iterations want some GB: free some, or set SPAR_DATA")
    return ok("data", words)


@dataclass(frozen=True, slots=True)
class DatabaseState:
    """What a look at the database showed. `heads` are its revisions, `now` its clock.

    missing: revisions to come; None where the database is newer than this program.
    """

    heads: frozenset[str]
    missing: int | None
    now: datetime | None


def database(url: str) -> tuple[Finding, DatabaseState | None]:
    """Whether the database answers and has this program's tables."""
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and not _file_is_there(parsed.database):
            return ok("database", "made at the first start"), None
        state = asyncio.run(_look(url))
    except (ConfigurationError, ArgumentError) as error:
        fix = "correct SPAR_DATABASE_URL"
        return fail("database", str(error).split(". ")[0], fix), None
    except DriverError as error:
        fix = "start it, or correct SPAR_DATABASE_URL"
        return fail("database", explain(error).message, fix), None
    except TimeoutError:
        words = f"no answer within {PATIENCE_SECONDS} s"
        return fail("database", words, "start it, or correct SPAR_DATABASE_URL"), None
    return migrations(state), state


def migrations(state: DatabaseState) -> Finding:
    """Whether the tables are those of this program."""
    if state.missing is None:
        newer = ", ".join(sorted(state.heads))
        return fail("database", f"a newer spar made it (revision {newer})", "update spar")
    if state.missing:
        words = f"{state.missing} migration(s) to come"
        return warn("database", words, "`spar db upgrade`, or start the server, which does it")
    return ok("database", f"answers, revision {', '.join(sorted(state.heads))}")


async def _look(url: str) -> DatabaseState:
    engine = open_engine(url)
    try:
        async with asyncio.timeout(PATIENCE_SECONDS), engine.connect() as connection:
            heads, missing = await connection.run_sync(_revisions)
            now = None
            if connection.dialect.name != "sqlite":
                now = await connection.scalar(select(func.now()))
    finally:
        await engine.dispose()
    return DatabaseState(heads, missing, now and now.astimezone(UTC))


def _revisions(connection: Connection) -> tuple[frozenset[str], int | None]:
    """The database's revisions, and how many are missing."""
    scripts = ScriptDirectory.from_config(alembic_config(connection))
    heads = frozenset(MigrationContext.configure(connection).get_current_heads())
    known = {script.revision for script in scripts.walk_revisions()}
    if not heads <= known:
        return heads, None
    done = {script.revision for head in heads for script in scripts.iterate_revisions(head, "base")}
    return heads, len(known - done)


def _file_is_there(database: str | None) -> bool:
    return database is not None and Path(database).exists()

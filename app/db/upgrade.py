"""Migrates a database to the schema of this version."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from app.db.errors import DriverError, explain
from app.db.session import open_engine
from app.errors import ConfigurationError

SCRIPTS = Path(__file__).resolve().parents[2] / "migrations"


def upgrade(url: str) -> None:
    """Run the missing migrations; all of them take effect, or none.

    For use before an event loop runs, or in a thread.

    Raises:
        ConfigurationError: the database cannot be opened or changed, or was made by a newer version
            of the program.
    """
    asyncio.run(_upgrade(url))


def alembic_config(connection: Connection) -> Config:
    """Alembic's configuration for working over an open connection."""
    config = Config(attributes={"connection": connection})
    config.set_main_option("script_location", str(SCRIPTS).replace("%", "%%"))
    return config


async def _upgrade(url: str) -> None:
    engine = open_engine(url, migrating=True)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(_to_head)
    except DriverError as error:
        raise ConfigurationError(
            f"The database {engine.url} cannot be upgraded: {explain(error).message}.",
            field="database_url",
        ) from error
    finally:
        await engine.dispose()


def _to_head(connection: Connection) -> None:
    config = alembic_config(connection)
    _refuse_newer(connection, ScriptDirectory.from_config(config))
    command.upgrade(config, "head")
    # Without a pending migration, write access has not been checked yet.
    connection.exec_driver_sql("UPDATE alembic_version SET version_num = version_num")


def _refuse_newer(connection: Connection, scripts: ScriptDirectory) -> None:
    known = {script.revision for script in scripts.walk_revisions()}
    found = set(MigrationContext.configure(connection).get_current_heads())
    if unknown := found - known:
        raise ConfigurationError(
            f"The database {connection.engine.url} was made by a newer version of spar"
            f" (revision {', '.join(sorted(unknown))}): update spar, or name another database.",
            field="database_url",
        )

"""What Alembic runs: migrations over a given connection, or over the configured database."""

import asyncio
from typing import Any, Literal

import sqlalchemy as sa
from alembic import context
from alembic.autogenerate.api import AutogenContext

from app.config.settings import Settings
from app.db.session import open_engine
from app.db.tables import Base


def render_plain_type(kind: str, item: Any, _: AutogenContext) -> str | Literal[False]:
    """Render the project's column types as their database types.

    A migration must never change, so it may not import the project's code, which does.
    """
    if kind != "type":
        return False
    if isinstance(item, sa.Enum):
        return f"sa.String(length={item.length})"
    if isinstance(item, sa.TypeDecorator):
        return f"sa.{item.impl_instance!r}"
    return False


def run(connection: sa.Connection) -> None:
    """Run Alembic's migrations inside the connection's transaction."""
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_item=render_plain_type,
        # SQLite can alter most of a table only by rebuilding it, which is what a batch does.
        render_as_batch=True,
    )
    with context.begin_transaction():
        context.run_migrations()


async def run_configured() -> None:
    """For the `alembic` command line: open the database that the settings name."""
    engine = open_engine(Settings().url, migrating=True)
    try:
        async with engine.begin() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


given = context.config.attributes.get("connection")
if given is None:
    asyncio.run(run_configured())
else:
    run(given)

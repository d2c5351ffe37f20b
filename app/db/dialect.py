"""What is written differently in SQLite and PostgreSQL, behind one name each."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Executable, Select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from app.db.types import UtcDateTime

_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


async def insert_new(
    session: AsyncSession,
    table: type[Any],
    rows: Sequence[dict[str, Any]],
    *,
    known_by: Sequence[str],
) -> int:
    """Insert the rows whose `known_by` columns are new; how many those were.

    Rows that somebody else inserts at the same moment are known ones too.
    """
    insert = _INSERTS[session.get_bind().dialect.name]
    columns = table.__table__.c
    statement: Executable = (
        insert(table.__table__)  # the mapped class would take a JSON null for no value at all
        .on_conflict_do_nothing(index_elements=list(known_by))
        .returning(*(columns[name] for name in known_by))
    )
    return len((await session.execute(statement, list(rows))).all())


async def lock_rows(session: AsyncSession, query: Select[Any]) -> None:
    """Keep everybody from changing these rows, or referring to them, until the transaction ends.

    SQLite lets only one transaction write at a time, so there is nothing to do there.
    """
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(query.with_for_update())


class FromNow(ColumnElement[Any]):
    """The moment so many seconds from now, by the database's clock.

    Processes on several machines agree on it even where their own clocks differ.
    """

    inherit_cache = False
    type = UtcDateTime()

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds


@compiles(FromNow, "postgresql")
def _on_postgresql(moment: FromNow, _: SQLCompiler, **__: Any) -> str:
    # Not now(): that is when the transaction began, which may have waited since.
    return f"(clock_timestamp() + make_interval(secs => {moment.seconds!r}))"


@compiles(FromNow, "sqlite")
def _on_sqlite(moment: FromNow, _: SQLCompiler, **__: Any) -> str:
    # The form in which SQLAlchemy stores a time there, to the millisecond.
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '{moment.seconds:+f} seconds')"

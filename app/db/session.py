"""The database of one process: engines, sessions, and statements for both databases."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, TypeVar

from sqlalchemy import (
    URL,
    ColumnElement,
    Connection,
    Dialect,
    Executable,
    Select,
    event,
    make_url,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.ext.asyncio import (
    AsyncEngine,
    AsyncSession,
    async_sessionmaker,
    create_async_engine,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.sql.compiler import SQLCompiler

from app.db.errors import DriverError, explain
from app.db.types import UtcDateTime
from app.errors import ConfigurationError, DatabaseError

TableRow = TypeVar("TableRow", bound=DeclarativeBase)

DRIVERS = {"postgres": "postgresql+psycopg", "postgresql": "postgresql+psycopg"}


def complete(url: str) -> URL:
    """The URL with this program's driver if it names none; `postgres://` is PostgreSQL, too.

    Raises:
        ArgumentError: the URL is invalid.
    """
    scheme, mark, rest = url.partition("://")
    return make_url(f"{DRIVERS.get(scheme, scheme)}{mark}{rest}")


_INSERTS: dict[str, Any] = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


async def insert_new(
    session: AsyncSession,
    table: type[Any],
    rows: Sequence[dict[str, Any]],
    *,
    known_by: Sequence[str],
) -> int:
    """Insert the rows whose `known_by` columns are new; returns their number.

    known_by: the columns of a unique constraint. Rows that another process inserts concurrently
    count as known.
    """
    insert = _INSERTS[session.get_bind().dialect.name]
    columns = table.__table__.c
    statement: Executable = (
        insert(table.__table__)  # the mapped class would take a JSON null for no value at all
        .on_conflict_do_nothing(index_elements=list(known_by))
        .returning(*(columns[name] for name in known_by))
    )
    return len((await session.execute(statement, list(rows))).all())


async def newest_rows(
    session: AsyncSession, table: type[TableRow], limit: int, cursor: str | None
) -> tuple[list[TableRow], str | None]:
    """Up to `limit` rows, newest first, and the cursor of the next page, if there is one.

    table: a mapped class whose primary key is the ULID `id`. cursor: the last id of the page
    before; None for the first page.
    """
    key = table.__table__.c.id
    query = select(table).order_by(key.desc()).limit(limit + 1)
    if cursor is not None:
        query = query.where(key < cursor)
    rows: list[Any] = list(await session.scalars(query))
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


async def lock_rows(session: AsyncSession, query: Select[Any]) -> None:
    """Keep other transactions from changing these rows or referring to them.

    SQLite has one writer at a time and needs no such lock.
    """
    if session.get_bind().dialect.name == "postgresql":
        await session.execute(query.with_for_update())


class FromNow(ColumnElement[Any]):
    """The time `seconds` from now by the database's clock, which all machines share."""

    inherit_cache = False
    type = UtcDateTime()

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds = seconds


@compiles(FromNow, "postgresql")
def _on_postgresql(moment: FromNow, _: SQLCompiler, **__: Any) -> str:
    # Not now(): that is the start of the transaction, which may have waited since.
    return f"(clock_timestamp() + make_interval(secs => {moment.seconds!r}))"


@compiles(FromNow, "sqlite")
def _on_sqlite(moment: FromNow, _: SQLCompiler, **__: Any) -> str:
    # The form in which SQLAlchemy stores a time there, to the millisecond.
    return f"strftime('%Y-%m-%d %H:%M:%f000', 'now', '{moment.seconds:+f} seconds')"


def open_sqlite(url: URL, *, migrating: bool) -> AsyncEngine:
    """An engine for a SQLite file; see `open_engine`."""
    # Errors are logged, and parameters hold prompts.
    engine = create_async_engine(url, hide_parameters=True)
    foreign_keys = "OFF" if migrating else "ON"
    begin = "BEGIN IMMEDIATE" if migrating else "BEGIN"
    rolling_back: set[asyncio.Future[None]] = set()

    @event.listens_for(engine.sync_engine, "do_connect")
    def probe(
        _: Dialect, __: ConnectionPoolEntry, args: list[Any], options: dict[str, Any]
    ) -> None:
        # aiosqlite leaves a failing thread behind if a file cannot be opened: raise that error
        # here, before the thread exists.
        sqlite3.connect(*args, **options).close()

    @event.listens_for(engine.sync_engine, "connect")
    def configure(connection: Any, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA foreign_keys={foreign_keys}")
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    @event.listens_for(engine.sync_engine, "invalidate")
    def roll_back(connection: Any, *_: object) -> None:
        # A cancelled statement may keep its cursor, and with it SQLite's lock even after the
        # connection is closed. Roll back before that, without waiting.
        task = asyncio.ensure_future(_roll_back(connection.driver_connection))
        rolling_back.add(task)
        task.add_done_callback(rolling_back.discard)

    @event.listens_for(engine.sync_engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        # By default sqlite3 begins a transaction only at the first INSERT or the like: savepoints,
        # DDL and repeated reads would be outside of it.
        connection.exec_driver_sql(begin)

    return engine


async def _roll_back(connection: Any) -> None:
    with suppress(ValueError, sqlite3.Error):  # It may be closed already.
        await connection.rollback()


SESSION = {
    # The same timeout as SQLite's.
    "lock_timeout": "5s",
    # A process that is frozen in a transaction must not keep its locks.
    "idle_in_transaction_session_timeout": "60s",
}
"""Set on every connection, unless the URL's `options` set them."""

CONNECTION = {
    "connect_timeout": 5,
    "application_name": "spar",
    # A server that vanished is detected after about 25 seconds, not after hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""libpq's parameters, in seconds except the last (milliseconds); the URL's own come first."""

MIGRATIONS_LOCK = 0x73706172
"""The advisory lock of an upgrade; an arbitrary number (`spar` in ASCII)."""


def open_postgresql(url: URL, *, migrating: bool) -> AsyncEngine:
    """An engine for a PostgreSQL database; see `open_engine`."""
    engine = create_async_engine(
        url,
        # Errors are logged, and parameters hold prompts.
        hide_parameters=True,
        # Replaces connections that broke while they were idle.
        pool_pre_ping=True,
        connect_args={name: value for name, value in CONNECTION.items() if name not in url.query},
    )
    if migrating:
        event.listen(engine.sync_engine, "begin", _wait_for_other_upgrades)
    elif "options" not in url.query:
        event.listen(engine.sync_engine, "connect", _set_up)
    return engine


def _set_up(connection: Any, _: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    for name, value in SESSION.items():
        cursor.execute(f"SET {name} = '{value}'")
    cursor.close()
    connection.commit()  # a setting made in a transaction ends with it otherwise


def _wait_for_other_upgrades(connection: Connection) -> None:
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATIONS_LOCK})")


OPENERS = {"sqlite": open_sqlite, "postgresql": open_postgresql}


def open_engine(url: str, *, migrating: bool = False) -> AsyncEngine:
    """An engine for `url`; it connects at first use.

    A SQLite file is used in WAL mode with foreign keys enforced; a lock times out after 5 seconds
    unless the URL has another `?timeout=` (in seconds). `migrating` is for changing tables:
    SQLite then takes the write lock first and does not enforce foreign keys, because rebuilding a
    table would otherwise delete the rows that refer to it; on PostgreSQL upgrades are serialized.
    PostgreSQL has the same lock timeout (`?options=-c lock_timeout=`).

    Raises:
        ConfigurationError: no installed driver supports the URL.
    """
    try:
        parsed = complete(url)
        opener = OPENERS.get(parsed.get_backend_name())
        if opener is None:
            raise ArgumentError(f"{parsed.get_backend_name()} is neither SQLite nor PostgreSQL")
        return opener(parsed, migrating=migrating)
    except (ArgumentError, InvalidRequestError, ImportError) as error:
        raise ConfigurationError(
            f"The database URL cannot be used ({str(error).rstrip('.')}). A SQLite file is written"
            " sqlite+aiosqlite:////absolute/path/to/file.db, a PostgreSQL database"
            " postgresql://user:password@host:5432/name",
            field="database_url",
        ) from error


RETRY_AFTER_SECONDS = 1


class Database:
    """A pool of connections to one database, for one event loop."""

    def __init__(self, url: str) -> None:
        """Connects at first use.

        Raises:
            ConfigurationError: the URL is invalid.
        """
        self._engine = open_engine(url)
        self._sessions = async_sessionmaker(self._engine)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises:
            DatabaseError: any error of the database; `retry_after` (seconds) is set only if a
                retry may succeed.
        """
        try:
            async with self._sessions.begin() as session:
                yield session
        except DriverError as error:
            failure = explain(error)
            raise DatabaseError(
                f"The database cannot be used: {failure.message}.",
                retry_after=RETRY_AFTER_SECONDS if failure.transient else None,
            ) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

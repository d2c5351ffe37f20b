"""Opening a database: what SQLite needs to be told, and nothing that another needs."""

import asyncio
import sqlite3
from contextlib import suppress
from typing import Any

from sqlalchemy import URL, Connection, Dialect, event, make_url
from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from app.errors import ConfigurationError


def open_engine(url: str, *, migrating: bool = False) -> AsyncEngine:
    """An engine for `url`; it connects at first use.

    A SQLite file is used in WAL mode with foreign keys enforced; it waits 5 seconds for a lock
    unless the URL says otherwise (`?timeout=`, in seconds). `migrating` is for changing tables:
    SQLite then takes the write lock first, and leaves foreign keys alone, because rebuilding a
    table would otherwise delete the rows that refer to it.

    Raises `ConfigurationError` for a URL that no installed driver understands.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _open_sqlite(parsed, migrating)
        return create_async_engine(parsed)
    except (ArgumentError, InvalidRequestError, ImportError) as error:
        raise ConfigurationError(
            f"The database URL cannot be used ({str(error).rstrip('.')}). A SQLite file is written"
            " sqlite+aiosqlite:////absolute/path/to/file.db",
            field="database_url",
        ) from error


def _open_sqlite(url: URL, migrating: bool) -> AsyncEngine:
    engine = create_async_engine(url)
    foreign_keys = "OFF" if migrating else "ON"
    begin = "BEGIN IMMEDIATE" if migrating else "BEGIN"
    rolling_back: set[asyncio.Future[None]] = set()

    @event.listens_for(engine.sync_engine, "do_connect")
    def probe(
        _: Dialect, __: ConnectionPoolEntry, args: list[Any], options: dict[str, Any]
    ) -> None:
        # aiosqlite leaves a thread behind that fails noisily when a file cannot be opened; so
        # meet that error here, where there is no thread yet.
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
        # A cancelled statement may keep its rows, and SQLite its lock as long as they are kept,
        # even when the connection is closed. This comes before that, and is not waited for.
        task = asyncio.ensure_future(_roll_back(connection.driver_connection))
        rolling_back.add(task)
        task.add_done_callback(rolling_back.discard)

    @event.listens_for(engine.sync_engine, "begin")
    def begin_transaction(connection: Connection) -> None:
        # Left alone, sqlite3 begins one only at the first INSERT or the like: savepoints, changes
        # of tables and repeated reads would be outside of it.
        connection.exec_driver_sql(begin)

    return engine


async def _roll_back(connection: Any) -> None:
    with suppress(ValueError, sqlite3.Error):  # It may be closed already.
        await connection.rollback()

"""What SQLite needs to be told."""

import asyncio
import sqlite3
from contextlib import suppress
from typing import Any

from sqlalchemy import URL, Connection, Dialect, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry


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

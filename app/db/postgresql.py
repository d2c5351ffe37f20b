"""What PostgreSQL needs to be told."""

from typing import Any

from sqlalchemy import URL, Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

SESSION = {
    # As patient as SQLite: whoever waits longer than this for a lock hears of it.
    "lock_timeout": "5s",
    # A process that was frozen in the middle of a transaction must not keep its locks for ever.
    "idle_in_transaction_session_timeout": "60s",
}
"""Set on every connection, unless the URL's `options` say otherwise."""

CONNECTION = {
    "connect_timeout": 5,
    "application_name": "spar",
    # A server that vanished without a word is noticed after about 25 seconds, not after hours.
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 25_000,
}
"""libpq's parameters, in seconds except the last (milliseconds); the URL's own come first."""

MIGRATIONS_LOCK = 0x73706172
"""The advisory lock that one upgrade holds while others wait; any number nobody else uses."""


def open_postgresql(url: URL, *, migrating: bool) -> AsyncEngine:
    """An engine for a PostgreSQL database; see `open_engine`."""
    engine = create_async_engine(
        url,
        # Errors are logged, and parameters hold prompts.
        hide_parameters=True,
        # A connection that broke while nobody used it is replaced, and nobody notices.
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

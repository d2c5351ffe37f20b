"""Opening a database, SQLite or PostgreSQL."""

from sqlalchemy.exc import ArgumentError, InvalidRequestError
from sqlalchemy.ext.asyncio import AsyncEngine

from app.db.postgresql import open_postgresql
from app.db.sqlite import open_sqlite
from app.db.url import complete
from app.errors import ConfigurationError

OPENERS = {"sqlite": open_sqlite, "postgresql": open_postgresql}


def open_engine(url: str, *, migrating: bool = False) -> AsyncEngine:
    """An engine for `url`; it connects at first use.

    A SQLite file is used in WAL mode with foreign keys enforced; it waits 5 seconds for a lock
    unless the URL says otherwise (`?timeout=`, in seconds). `migrating` is for changing tables:
    SQLite then takes the write lock first, and leaves foreign keys alone, because rebuilding a
    table would otherwise delete the rows that refer to it; on PostgreSQL one upgrade waits for
    another. PostgreSQL is waited for as long (`?options=-c lock_timeout=`).

    Raises `ConfigurationError` for a URL that no installed driver understands.
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

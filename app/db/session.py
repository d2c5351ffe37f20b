"""The database of one process: sessions, and the translation of its errors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from app.db.engine import open_engine
from app.db.trouble import DriverError, explain
from app.errors import DatabaseError

RETRY_AFTER_SECONDS = 1


class Database:
    """A pool of connections to one database, for one event loop."""

    def __init__(self, url: str) -> None:
        """Connects at first use. Raises `ConfigurationError` for a URL nobody understands."""
        self._engine = open_engine(url)
        self._sessions = async_sessionmaker(self._engine)

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """One transaction: committed when the block ends, rolled back when it raises.

        Raises `DatabaseError` for whatever the database refuses; `retry_after` is set (seconds)
        where trying again may help, and only there.
        """
        try:
            async with self._sessions.begin() as session:
                yield session
        except DriverError as error:
            trouble = explain(error)
            raise DatabaseError(
                f"The database cannot be used: {trouble.message}.",
                retry_after=RETRY_AFTER_SECONDS if trouble.transient else None,
            ) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

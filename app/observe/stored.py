"""What the database knows, asked at most every few seconds."""

import asyncio
import logging
import time

from app.db.figures import IterationCounts, iteration_counts
from app.db.session import Database
from app.errors import DatabaseError

log = logging.getLogger(__name__)

FRESH_SECONDS = 5.0
PATIENCE_SECONDS = 2.0
"""A scrape must not hang on a database that does not answer."""


class StoredFigures:
    """Counts iterations; an answer is used again until it is `fresh_seconds` old."""

    def __init__(self, database: Database, fresh_seconds: float = FRESH_SECONDS) -> None:
        self._database = database
        self._fresh_seconds = fresh_seconds
        self._counts: IterationCounts | None = None
        self._asked = -fresh_seconds
        self._one = asyncio.Lock()

    async def get(self) -> IterationCounts | None:
        """The counts, or None while the database cannot be asked."""
        async with self._one:
            if time.monotonic() - self._asked >= self._fresh_seconds:
                self._counts = await self._ask()
                self._asked = time.monotonic()
            return self._counts

    async def _ask(self) -> IterationCounts | None:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS), self._database.session() as session:
                return await iteration_counts(session)
        except (DatabaseError, TimeoutError) as error:
            log.warning("iterations cannot be counted: %s", str(error) or "no answer in time")
            return None

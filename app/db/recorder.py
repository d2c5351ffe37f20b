"""Writes finished searches in the background, so that responses do not wait for the database."""

import asyncio
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from app.concurrency import race, retry
from app.db.prompts import PromptRepository
from app.db.redact import Store, redacted
from app.db.searches import SearchRepository, began_at
from app.db.session import Database
from app.domain.iteration import Source
from app.errors import DatabaseError
from app.search.base import SearchResult

logger = logging.getLogger(__name__)

RETRY_DELAYS = (0.1, 0.2, 0.4, 0.8, 1.6, *[3.0] * 200)
"""Seconds, ten minutes in total: enough for a database to restart or fail over."""
CAPACITY = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    result: SearchResult
    began_at: datetime
    done: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def id(self) -> str:
        return self.result.request.id


class Recorder:
    """Queues results without waiting and writes each in one transaction, oldest first.

    `lost` counts the searches that could not be written; each is also logged with its id. Belongs
    to one event loop.

    retry_delays: pauses in seconds between attempts after transient errors.
    capacity: length of the queue; further searches are lost, to bound the memory.
    keep_prompts: whether the prompts of users' searches join the pool of self-play.
    store: what is kept of a search: everything, everything but its texts, or nothing.
    """

    def __init__(
        self,
        database: Database,
        *,
        retry_delays: Sequence[float] = RETRY_DELAYS,
        capacity: int = CAPACITY,
        keep_prompts: bool = False,
        store: Store = "full",
    ) -> None:
        self.lost = 0
        self._database = database
        self._retry_delays = retry_delays
        self._capacity = capacity
        self._keep_prompts = keep_prompts
        self._store = store
        self._queue: deque[_Entry] = deque()
        self._writer: asyncio.Task[None] | None = None
        self._closed = False
        self._stalled = asyncio.Event()
        self._failure: DatabaseError | None = None

    @property
    def pending(self) -> int:
        """The number of searches that are not written yet."""
        return len(self._queue)

    def submit(self, result: SearchResult) -> None:
        """Queue a search for writing. Never waits and never raises."""
        if self._store == "none":
            return
        if self._store == "redacted":
            result = redacted(result)
        entry = _Entry(result, began_at(result))
        if self._closed:
            self._lose(entry, "the recorder is closed")
        elif self.pending >= self._capacity:
            self._lose(entry, f"{self.pending} searches are already waiting to be written")
        else:
            self._queue.append(entry)
            if self._writer is None or self._writer.done():
                self._writer = asyncio.create_task(self._drain(), name="recorder")

    async def wait_for(self, search_id: str) -> None:
        """Wait until the search is written or lost; returns at once if it is not pending.

        Raises:
            DatabaseError: an attempt failed; a later attempt may succeed.
        """
        for entry in tuple(self._queue):
            if entry.id == search_id:
                await race(entry.done.wait(), self._stalled.wait())
                if not entry.done.is_set() and self._failure is not None:
                    raise DatabaseError(
                        self._failure.message, retry_after=self._failure.retry_after
                    )

    async def close(self, seconds: float) -> None:
        """Refuse further searches, write the pending ones within `seconds`, then stop."""
        self._closed = True
        if self._writer is None:
            return
        _, unfinished = await asyncio.wait({self._writer}, timeout=seconds)
        if unfinished:
            self._writer.cancel()
            await asyncio.wait({self._writer})
        while self._queue:
            self._lose(self._queue.popleft(), f"not written within {seconds:g} seconds of closing")

    async def _drain(self) -> None:
        while self._queue:
            entry = self._queue[0]
            try:
                await self._write(entry)
            except DatabaseError as error:
                self._lose(entry, error.message)
            except Exception:
                # A search that cannot be converted to rows must not block those behind it.
                logger.exception("unexpected error while writing search %s", entry.id)
                self._lose(entry, "see the error above")
            entry.done.set()
            self._queue.popleft()

    async def _write(self, entry: _Entry) -> None:
        def stall(error: DatabaseError, pause: float) -> float:
            if error.retry_after is None:
                raise error
            if self._failure is None or self._failure.message != error.message:
                logger.warning("search %s will be written later: %s", entry.id, error.message)
            self._failure = error
            self._stalled.set()
            return pause

        await retry(
            lambda: self._write_once(entry), DatabaseError, self._retry_delays, on_failure=stall
        )

    async def _write_once(self, entry: _Entry) -> None:
        async with self._database.session() as session:
            await SearchRepository(session).add(entry.result, created_at=entry.began_at)
            request = entry.result.request
            # Background searches have a priority other than 0; their prompts are in the pool.
            if self._keep_prompts and request.priority == 0:
                await PromptRepository(session).add([request.prompt], Source.RECORDED)
        self._failure = None
        self._stalled.clear()

    def _lose(self, entry: _Entry, why: str) -> None:
        self.lost += 1
        entry.done.set()
        logger.error("search %s was answered but not stored: %s", entry.id, why)

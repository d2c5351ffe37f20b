"""The queue of background calls: they use the engine as far as people do not feel it."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.api.admission import RETRY_AFTER_SECONDS, Admission
from app.api.gate import Passage
from app.errors import Overloaded

LOOK_SECONDS = 0.02
QUIET_SECONDS = 5.0
PLACES = 1024  # Several workers' calls at once; each waiting call holds its text in memory.


class Background:
    """Lets `alone` calls run at a time, and only `beside_people` while somebody asks.

    The engine's own priorities do not do this: every sequence in a batch makes each step of the
    others slower. People count as there until `quiet_seconds` after their last request.
    """

    def __init__(
        self,
        people: Admission,
        *,
        alone: int,
        beside_people: int,
        quiet_seconds: float = QUIET_SECONDS,
        places: int = PLACES,
    ) -> None:
        self._people = people
        self._alone = alone
        self._beside_people = beside_people
        self._quiet_seconds = quiet_seconds
        self._places = places
        self.admitted = 0
        self._next = asyncio.Lock()
        self.running = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for one's turn, first come, first served."""
        async with self._next:
            # No event says that people have been silent for long enough.
            while self.running >= self._limit():  # noqa: ASYNC110
                await asyncio.sleep(LOOK_SECONDS)
            self.running += 1
        try:
            yield
        finally:
            self.running -= 1

    def enter(self) -> "BackgroundPlace":
        """Take a place. Raises `Overloaded` when `places` calls run or wait already."""
        if self.admitted >= self._places:
            raise Overloaded(
                f"{self.admitted} background calls are running or waiting already; try again later",
                retry_after=RETRY_AFTER_SECONDS,
            )
        return BackgroundPlace(self, self._people.gate.passage())

    def _limit(self) -> int:
        silent = time.monotonic() - self._people.last_seen
        people = self._people.admitted > 0 or silent < self._quiet_seconds
        return self._beside_people if people else self._alone


class BackgroundPlace:
    """A background call's place in the queue; see `app.api.admission.Place`."""

    def __init__(self, queue: Background, passage: Passage) -> None:
        self._queue = queue
        self._passage = passage
        self._queue.admitted += 1

    async def settle(self) -> None:
        """See `Place.settle`."""
        await self._passage.enter()

    def leave(self) -> None:
        """Give the place back."""
        self._passage.leave()
        self._queue.admitted -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """See `Place.turn`."""
        async with self._passage.working(), self._queue.turn():
            yield

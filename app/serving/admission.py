"""The queue of background calls: they use the engine as far as people do not feel it."""

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from app.errors import Overloaded
from app.serving.drain import BarrierPass, DrainBarrier

RETRY_AFTER_SECONDS = 5


class QueueSlot(Protocol):
    """A place in a queue, held until `leave` is called."""

    async def settle(self) -> None:
        """Wait while models are replaced. From then on they stay what they are, until `leave`.

        Pin versions after this, not before.
        """
        ...

    def leave(self) -> None:
        """Give the place back."""
        ...

    def turn(self) -> AbstractAsyncContextManager[None]:
        """Wait for one's turn, which lasts as long as the block.

        Raises `EngineUnavailable` when a model is replaced and the block takes too long for it.
        """
        ...


@asynccontextmanager
async def settled(place: QueueSlot) -> AsyncIterator[None]:
    """Settle, and prepare in the block what the turn needs; if that fails, the place is left."""
    try:
        await place.settle()
        yield
    except BaseException:
        place.leave()
        raise


class Admission:
    """Lets `running` requests in at a time and `waiting` more wait for their turn.

    `last_seen` is the `time.monotonic` moment when a request last came or went. Every request
    passes `drain_barrier`, background calls too. `admitted` requests hold a place, and
    `running` of them have their turn.
    """

    def __init__(self, running: int, waiting: int) -> None:
        self.drain_barrier = DrainBarrier()
        self._slots = asyncio.Semaphore(running)
        self._places = running + waiting
        self.admitted = 0
        self.running = 0
        self.last_seen = -math.inf

    @property
    def waiting(self) -> int:
        """Requests that hold a place and do not have their turn."""
        return max(0, self.admitted - self.running)

    def enter(self) -> "Ticket":
        """Take a place in the queue. Raises `Overloaded` when it is full."""
        if self.admitted >= self._places:
            raise Overloaded(
                f"{self.admitted} requests are running or waiting already; try again later",
                retry_after=RETRY_AFTER_SECONDS,
            )
        return Ticket(self, self._slots)


class Ticket:
    """A place in the queue, held until `leave` is called."""

    def __init__(self, admission: Admission, slots: asyncio.Semaphore) -> None:
        self._admission = admission
        self._slots = slots
        self._barrier_pass = admission.drain_barrier.barrier_pass()
        self._count(1)

    async def settle(self) -> None:
        """See `QueueSlot.settle`."""
        await self._barrier_pass.enter()

    def leave(self) -> None:
        """Give the place back."""
        self._barrier_pass.leave()
        self._count(-1)

    def _count(self, change: int) -> None:
        self._admission.admitted += change
        self._admission.last_seen = time.monotonic()

    @asynccontextmanager
    async def turn(self, seconds: float | None = None) -> AsyncIterator[None]:
        """Wait for one's turn, at most so long: who has run out of time goes in to be told so."""
        async with self._barrier_pass.working(), self._slot(seconds):
            yield

    @asynccontextmanager
    async def _slot(self, seconds: float | None) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(seconds):
                await self._slots.acquire()
        except TimeoutError:
            yield
            return
        self._admission.running += 1
        try:
            yield
        finally:
            self._admission.running -= 1
            self._slots.release()


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

    def enter(self) -> "BackgroundSlot":
        """Take a place. Raises `Overloaded` when `places` calls run or wait already."""
        if self.admitted >= self._places:
            raise Overloaded(
                f"{self.admitted} background calls are running or waiting already; try again later",
                retry_after=RETRY_AFTER_SECONDS,
            )
        return BackgroundSlot(self, self._people.drain_barrier.barrier_pass())

    def _limit(self) -> int:
        silent = time.monotonic() - self._people.last_seen
        people = self._people.admitted > 0 or silent < self._quiet_seconds
        return self._beside_people if people else self._alone


class BackgroundSlot:
    """A background call's place in the queue; see `app.serving.admission.QueueSlot`."""

    def __init__(self, queue: Background, barrier_pass: BarrierPass) -> None:
        self._queue = queue
        self._barrier_pass = barrier_pass
        self._queue.admitted += 1

    async def settle(self) -> None:
        """See `QueueSlot.settle`."""
        await self._barrier_pass.enter()

    def leave(self) -> None:
        """Give the place back."""
        self._barrier_pass.leave()
        self._queue.admitted -= 1

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """See `QueueSlot.turn`."""
        async with self._barrier_pass.working(), self._queue.turn():
            yield

"""Admission control: a bounded queue of requests, and one of background calls behind them."""

import asyncio
import math
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.errors import Overloaded
from app.serving.drain import DrainBarrier

RETRY_AFTER_SECONDS = 5
POLL_SECONDS = 0.02
QUIET_SECONDS = 5.0
BACKGROUND_PLACES = 1024
"""Several workers' calls at once; each queued call holds its text in memory."""


class BoundedQueue(ABC):
    """A queue of at most `places` requests, each of which passes `drain_barrier`.

    `admitted` requests hold a place, `running` of them run.
    """

    def __init__(self, places: int, drain_barrier: DrainBarrier, what: str) -> None:
        self.drain_barrier = drain_barrier
        self.admitted = 0
        self.running = 0
        self._places = places
        self._what = what

    def enter(self) -> "QueueSlot":
        """Take a place in the queue.

        Raises:
            Overloaded: every place is taken.
        """
        if self.admitted >= self._places:
            raise Overloaded(
                f"{self.admitted} {self._what} are running or queued; try again later",
                retry_after=RETRY_AFTER_SECONDS,
            )
        return QueueSlot(self)

    def count(self, change: int) -> None:
        """Count a place taken (1) or released (-1)."""
        self.admitted += change

    @asynccontextmanager
    async def turn(self, seconds: float | None = None) -> AsyncIterator[None]:
        """See `QueueSlot.turn`; does not pass the drain barrier."""
        try:
            async with asyncio.timeout(seconds):
                await self._acquire()
        except TimeoutError:
            yield
            return
        try:
            yield
        finally:
            self._release()

    @abstractmethod
    async def _acquire(self) -> None:
        """Wait until one more may run, and count it in `running`."""

    @abstractmethod
    def _release(self) -> None:
        """Count one less in `running`."""


class QueueSlot:
    """One request's place in a queue, held until `release`."""

    def __init__(self, queue: BoundedQueue) -> None:
        self._queue = queue
        self._barrier_pass = queue.drain_barrier.barrier_pass()
        queue.count(1)

    async def pass_barrier(self) -> None:
        """Wait while weights are replaced; from then on they stay the same until `release`.

        Pin versions after this, not before.
        """
        await self._barrier_pass.enter()

    def release(self) -> None:
        """Give the place back."""
        self._barrier_pass.leave()
        self._queue.count(-1)

    @asynccontextmanager
    async def turn(self, seconds: float | None = None) -> AsyncIterator[None]:
        """Wait for a turn, which lasts as long as the block.

        After `seconds` of waiting the block runs without a turn, to report the missed deadline.

        Raises:
            EngineUnavailable: the block exceeded the drain timeout.
        """
        async with self._barrier_pass.working(), self._queue.turn(seconds):
            yield


@asynccontextmanager
async def preparing(slot: QueueSlot) -> AsyncIterator[None]:
    """Pass the drain barrier, then run the block; releases the slot if either fails."""
    try:
        await slot.pass_barrier()
        yield
    except BaseException:
        slot.release()
        raise


class Admission(BoundedQueue):
    """Runs `running` requests at a time and queues `waiting` more.

    `last_seen` is the `time.monotonic` time at which a request last entered or left.
    """

    def __init__(self, running: int, waiting: int) -> None:
        super().__init__(running + waiting, DrainBarrier(), "requests")
        self._running_slots = asyncio.Semaphore(running)
        self.last_seen = -math.inf

    @property
    def waiting(self) -> int:
        """Requests in the queue that do not run."""
        return max(0, self.admitted - self.running)

    def count(self, change: int) -> None:
        """See `BoundedQueue.count`."""
        super().count(change)
        self.last_seen = time.monotonic()

    async def _acquire(self) -> None:
        await self._running_slots.acquire()
        self.running += 1

    def _release(self) -> None:
        self.running -= 1
        self._running_slots.release()


class Background(BoundedQueue):
    """Runs `idle` calls at a time while no request is active, and `busy` while one is.

    The engine's own priorities do not replace this: every sequence in a batch slows each decoding
    step of the others. Requests count as active until `quiet_seconds` after the last one.
    """

    def __init__(
        self,
        requests: Admission,
        *,
        idle: int,
        busy: int,
        quiet_seconds: float = QUIET_SECONDS,
        places: int = BACKGROUND_PLACES,
    ) -> None:
        super().__init__(places, requests.drain_barrier, "background calls")
        self._requests = requests
        self._idle = idle
        self._busy = busy
        self._quiet_seconds = quiet_seconds
        self._next = asyncio.Lock()

    async def _acquire(self) -> None:
        async with self._next:  # first in, first out
            # No event says that the quiet period has passed.
            while self.running >= self._limit():  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
            self.running += 1

    def _release(self) -> None:
        self.running -= 1

    def _limit(self) -> int:
        quiet = time.monotonic() - self._requests.last_seen
        active = self._requests.admitted > 0 or quiet < self._quiet_seconds
        return self._busy if active else self._idle

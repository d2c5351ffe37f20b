"""Draining: no request uses the models while weights are replaced or the engine sleeps."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from app.errors import EngineUnavailable

RETRY_AFTER_SECONDS = 1

Rejection = Callable[[], EngineUnavailable]
"""Makes the error that a rejected or aborted request gets."""


class DrainBarrier:
    """Holds new requests back while it is closed, and tracks those that have entered."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._entered: set[BarrierPass] = set()
        self._draining = asyncio.Lock()
        self._rejection: Rejection | None = None

    @property
    def closed(self) -> bool:
        """Whether new requests are held back or rejected now."""
        return not self._open.is_set()

    def barrier_pass(self) -> "BarrierPass":
        """The pass of one request."""
        return BarrierPass(self)

    @asynccontextmanager
    async def drained(
        self, seconds: float, rejection: Rejection | None = None
    ) -> AsyncIterator[None]:
        """Run the block with no request inside; new requests wait for its end.

        Drains run one at a time; the next one waits.

        Args:
            seconds: How long requests inside may take to finish; then they are aborted with
                `EngineUnavailable`.
            rejection: Makes the error with which new requests are rejected, from the start of the
                drain on, instead of waiting.
        """
        async with self._draining:
            self._rejection = rejection
            self._open.clear()
            try:
                try:
                    async with asyncio.timeout(seconds):
                        await self._empty.wait()
                except TimeoutError:
                    for one in list(self._entered):
                        one.abort(rejection or _replaced)
                    await self._empty.wait()
                yield
            finally:
                self._open.set()

    async def add(self, barrier_pass: "BarrierPass") -> None:
        """Wait until the barrier is open, then count the pass as inside.

        Raises:
            EngineUnavailable: new requests are rejected for now.
        """
        while not self._open.is_set():  # it may close again before this task goes on
            if self._rejection is not None:
                raise self._rejection()
            await self._open.wait()
        self._entered.add(barrier_pass)
        self._empty.clear()

    def remove(self, barrier_pass: "BarrierPass") -> None:
        """Count the pass as outside, whether or not it was inside."""
        self._entered.discard(barrier_pass)
        if not self._entered:
            self._empty.set()


class BarrierPass:
    """One request's way through the barrier: enter, work, leave."""

    def __init__(self, drain_barrier: DrainBarrier) -> None:
        self._drain_barrier = drain_barrier
        self._entered = False
        self._aborted: Rejection | None = None
        self._limit: asyncio.Timeout | None = None

    async def enter(self) -> None:
        """Wait while the barrier is closed. Afterwards the weights stay the same until `leave`.

        Raises:
            EngineUnavailable: new requests are rejected for now.
        """
        if not self._entered:
            await self._drain_barrier.add(self)
            self._entered = True

    def leave(self) -> None:
        """The request does not need the weights any more."""
        self._drain_barrier.remove(self)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Enter, and use the models during the block.

        Raises:
            EngineUnavailable: the request was rejected or aborted.
        """
        await self.enter()
        if self._aborted is not None:
            raise self._aborted()
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._limit = limit
                try:
                    yield
                finally:
                    self._limit = None
        except TimeoutError as error:
            if not limit.expired() or self._aborted is None:
                raise
            raise self._aborted() from error
        finally:
            if self._aborted is not None:
                self.leave()

    def abort(self, rejection: Rejection) -> None:
        """Cancel the block of `working`, or keep it from starting."""
        self._aborted = rejection
        if self._limit is None:
            self.leave()
        else:
            self._limit.reschedule(asyncio.get_running_loop().time())


def _replaced() -> EngineUnavailable:
    return EngineUnavailable(
        "the model was replaced before this was done; try again", retry_after=RETRY_AFTER_SECONDS
    )

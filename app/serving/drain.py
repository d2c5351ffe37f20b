"""The drain barrier: closed while weights are replaced or the engine sleeps."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from app.errors import EngineUnavailable

RETRY_AFTER_SECONDS = 1

Reason = Callable[[], EngineUnavailable]
"""Makes the error of requests that are rejected or aborted."""


class DrainBarrier:
    """Holds back new requests while it is closed, and tracks the active ones."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._active: set[BarrierPass] = set()
        self._closing = asyncio.Lock()
        self._reject: Reason | None = None

    @property
    def closed(self) -> bool:
        """Whether new requests are held back or rejected now."""
        return not self._open.is_set()

    def barrier_pass(self) -> "BarrierPass":
        """A pass for one request."""
        return BarrierPass(self)

    @asynccontextmanager
    async def drained(self, seconds: float, reject: Reason | None = None) -> AsyncIterator[None]:
        """Close the barrier, wait for the active requests, and run the block without any.

        Requests still active after `seconds` are aborted with `EngineUnavailable`. New ones wait
        for the end of the block, or are rejected with `reject` from the beginning on. Concurrent
        blocks run one after the other.
        """
        async with self._closing:
            self._reject = reject
            self._open.clear()
            try:
                try:
                    async with asyncio.timeout(seconds):
                        await self._empty.wait()
                except TimeoutError:
                    for barrier_pass in list(self._active):
                        barrier_pass.abort(reject or _replaced)
                    await self._empty.wait()
                yield
            finally:
                self._open.set()

    async def admit(self, barrier_pass: "BarrierPass") -> None:
        """Wait until the barrier is open, then count the request as active.

        Raises:
            EngineUnavailable: new requests are rejected now.
        """
        while not self._open.is_set():  # it may close again before this task resumes
            if self._reject is not None:
                raise self._reject()
            await self._open.wait()
        self._active.add(barrier_pass)
        self._empty.clear()

    def remove(self, barrier_pass: "BarrierPass") -> None:
        """Count the request as active no longer."""
        self._active.discard(barrier_pass)
        if not self._active:
            self._empty.set()


class BarrierPass:
    """One request's passage: `enter`, `working`, `leave`."""

    def __init__(self, drain_barrier: DrainBarrier) -> None:
        self._drain_barrier = drain_barrier
        self._entered = False
        self._aborted: Reason | None = None
        self._limit: asyncio.Timeout | None = None

    async def enter(self) -> None:
        """Wait while the barrier is closed; from then on the weights stay, until `leave`.

        Raises:
            EngineUnavailable: new requests are rejected now.
        """
        if not self._entered:
            await self._drain_barrier.admit(self)
            self._entered = True

    def leave(self) -> None:
        """The request no longer needs the weights."""
        self._drain_barrier.remove(self)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Use the models during the block.

        Raises:
            EngineUnavailable: the request was aborted.
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

    def abort(self, reason: Reason) -> None:
        """Cancel the block of `working`, or prevent it."""
        self._aborted = reason
        if self._limit is None:
            self.leave()
        else:
            self._limit.reschedule(asyncio.get_running_loop().time())


def _replaced() -> EngineUnavailable:
    return EngineUnavailable(
        "the model was replaced while the request ran; try again", retry_after=RETRY_AFTER_SECONDS
    )

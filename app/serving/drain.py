"""A barrier around the models: closed while weights are replaced or the engine sleeps."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from app.errors import EngineUnavailable

RETRY_AFTER_SECONDS = 1

Reason = Callable[[], EngineUnavailable]
"""Why somebody cannot be inside."""


class DrainBarrier:
    """Keeps new requests waiting while it is closed, and knows who is still inside."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._inside: set[BarrierPass] = set()
        self._closing = asyncio.Lock()
        self._turned_away: Reason | None = None

    @property
    def closed(self) -> bool:
        """Whether nobody is let in now."""
        return not self._open.is_set()

    def barrier_pass(self) -> "BarrierPass":
        """A barrier_pass for one request."""
        return BarrierPass(self)

    @asynccontextmanager
    async def drained(self, seconds: float, away: Reason | None = None) -> AsyncIterator[None]:
        """Nobody is inside while the block runs, and whoever comes waits for its end.

        Who is inside may finish within so many seconds; then is sent out by `EngineUnavailable`.
        With `away` nobody waits: who comes is turned away with it, from the beginning on. One
        block at a time: the next one waits.
        """
        async with self._closing:
            self._turned_away = away
            self._open.clear()
            try:
                try:
                    async with asyncio.timeout(seconds):
                        await self._empty.wait()
                except TimeoutError:
                    self._send_out(away or _replaced)
                    await self._empty.wait()
                yield
            finally:
                self._open.set()

    async def let_in(self, barrier_pass: "BarrierPass") -> None:
        """Wait until the drain_barrier is open, then count the barrier_pass as inside.

        Raises `EngineUnavailable` where whoever comes is turned away.
        """
        while not self._open.is_set():  # it may close again before this task goes on
            if self._turned_away is not None:
                raise self._turned_away()
            await self._open.wait()
        self._inside.add(barrier_pass)
        self._empty.clear()

    def let_out(self, barrier_pass: "BarrierPass") -> None:
        """The barrier_pass is over."""
        self._inside.discard(barrier_pass)
        if not self._inside:
            self._empty.set()

    def _send_out(self, reason: Reason) -> None:
        for barrier_pass in list(self._inside):
            barrier_pass.end(reason)


class BarrierPass:
    """One request's way through the drain_barrier: enter, work, leave."""

    def __init__(self, drain_barrier: DrainBarrier) -> None:
        self._drain_barrier = drain_barrier
        self._entered = False
        self._ended: Reason | None = None
        self._limit: asyncio.Timeout | None = None

    async def enter(self) -> None:
        """Wait while the drain_barrier is closed. From then on the weights stay, until `leave`.

        Raises what `DrainBarrier.let_in` raises.
        """
        if not self._entered:
            await self._drain_barrier.let_in(self)
            self._entered = True

    def leave(self) -> None:
        """The weights are not needed any more."""
        self._drain_barrier.let_out(self)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work with the models as long as the block. Raises `EngineUnavailable` when sent out."""
        await self.enter()
        if self._ended is not None:
            raise self._ended()
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._limit = limit
                try:
                    yield
                finally:
                    self._limit = None
        except TimeoutError as error:
            if not limit.expired() or self._ended is None:
                raise
            raise self._ended() from error
        finally:
            if self._ended is not None:
                self.leave()

    def end(self, reason: Reason) -> None:
        """Stop the work, or keep it from beginning."""
        self._ended = reason
        if self._limit is None:
            self.leave()
        else:
            self._limit.reschedule(asyncio.get_running_loop().time())


def _replaced() -> EngineUnavailable:
    return EngineUnavailable(
        "the model was replaced before this was done; try again", retry_after=RETRY_AFTER_SECONDS
    )

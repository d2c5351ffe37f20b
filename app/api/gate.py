"""The gate everybody passes who uses the models: closed while their weights are replaced."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from app.errors import EngineUnavailable

RETRY_AFTER_SECONDS = 1


class Gate:
    """Keeps new requests waiting while it is closed, and knows who is still inside."""

    def __init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._empty = asyncio.Event()
        self._empty.set()
        self._inside: set[Passage] = set()

    def passage(self) -> "Passage":
        """A passage for one request."""
        return Passage(self)

    @asynccontextmanager
    async def drained(self, seconds: float) -> AsyncIterator[None]:
        """Nobody is inside while the block runs, and whoever comes waits for its end.

        Who is inside may finish within so many seconds; then is sent out by `EngineUnavailable`.
        Only one block at a time.
        """
        self._open.clear()
        try:
            try:
                async with asyncio.timeout(seconds):
                    await self._empty.wait()
            except TimeoutError:
                self._send_out()
                await self._empty.wait()
            yield
        finally:
            self._open.set()

    async def let_in(self, passage: "Passage") -> None:
        """Wait until the gate is open, then count the passage as inside."""
        while not self._open.is_set():  # it may close again before this task goes on
            await self._open.wait()
        self._inside.add(passage)
        self._empty.clear()

    def let_out(self, passage: "Passage") -> None:
        """The passage is over."""
        self._inside.discard(passage)
        if not self._inside:
            self._empty.set()

    def _send_out(self) -> None:
        for passage in list(self._inside):
            passage.end()


class Passage:
    """One request's way through the gate: enter, work, leave."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._entered = False
        self._ended = False
        self._limit: asyncio.Timeout | None = None

    async def enter(self) -> None:
        """Wait while the gate is closed. From then on the weights stay, until `leave`."""
        if not self._entered:
            await self._gate.let_in(self)
            self._entered = True

    def leave(self) -> None:
        """The weights are not needed any more."""
        self._gate.let_out(self)

    @asynccontextmanager
    async def working(self) -> AsyncIterator[None]:
        """Work with the models as long as the block. Raises `EngineUnavailable` when sent out."""
        await self.enter()
        if self._ended:
            raise _replaced()
        limit = asyncio.timeout(None)
        try:
            async with limit:
                self._limit = limit
                try:
                    yield
                finally:
                    self._limit = None
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise _replaced() from error
        finally:
            if self._ended:
                self.leave()

    def end(self) -> None:
        """Stop the work, or keep it from beginning."""
        self._ended = True
        if self._limit is None:
            self.leave()
        else:
            self._limit.reschedule(asyncio.get_running_loop().time())


def _replaced() -> EngineUnavailable:
    return EngineUnavailable(
        "the model was replaced before this was done; try again", retry_after=RETRY_AFTER_SECONDS
    )

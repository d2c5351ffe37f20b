"""Work that tells what it does while it does it."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Generic, TypeVar

from app.errors import SparError

Event = TypeVar("Event")
Result = TypeVar("Result")


class Live(Generic[Event, Result]):
    """Started work, its events and then its result.

    `run` gets the function it reports events with. It is started at once, not when somebody
    first listens, so that it also ends when its listener goes away before that.
    """

    def __init__(self, run: Callable[[Callable[[Event], None]], Awaitable[Result]]) -> None:
        self._events: asyncio.Queue[Event | None] = asyncio.Queue()
        self._work = asyncio.ensure_future(run(self._events.put_nowait))
        self._work.add_done_callback(lambda _: self._events.put_nowait(None))

    async def follow(self) -> AsyncGenerator[Event | Result | SparError, None]:
        """The events, then the result or the error; closing the iterator cancels the work."""
        try:
            while (event := await self._events.get()) is not None:
                yield event
            try:
                yield self._work.result()
            except SparError as error:
                yield error
        finally:
            self._work.cancel()

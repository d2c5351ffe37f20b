"""Server-sent events of running searches, and cancellation when a client disconnects."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Generic, NoReturn, TypeVar

from fastapi import Request
from pydantic import BaseModel
from sse_starlette import EventSourceResponse, ServerSentEvent

from app.api.deps import Services
from app.api.problems import problem
from app.api.render import checkpoint_out, generate_out, node_out
from app.concurrency import race
from app.errors import ClientGone, SparError
from app.search.base import (
    NodeAccepted,
    NodeCreated,
    NodeJudged,
    SearchEvent,
    SearchRequest,
    SearchResult,
)

Event = TypeVar("Event")
Result = TypeVar("Result")


class Live(Generic[Event, Result]):
    """Running work, its events and then its result.

    `run` gets the function that reports events. It is started at once, so that it is cancelled
    even if the client disconnects before the first event is read.
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


async def while_connected(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """The result of `work`, which is cancelled when the client disconnects.

    The request's body must have been read before.

    Raises:
        ClientGone: the client disconnected.
    """
    return await race(work, _raise_when_disconnected(request))


async def _raise_when_disconnected(request: Request) -> NoReturn:
    while (await request.receive())["type"] != "http.disconnect":
        pass
    raise ClientGone("the client closed the connection")


LiveSearch = Live[SearchEvent, SearchResult]


def event_source(events: AsyncIterator[ServerSentEvent], services: Services) -> EventSourceResponse:
    """A response with heartbeats; a stopping server waits for its end."""
    return EventSourceResponse(
        events,
        ping=services.settings.heartbeat_seconds,
        shutdown_grace_period=services.settings.shutdown_seconds,
        sep="\n",
    )


async def search_events(
    request: SearchRequest, search: LiveSearch, *, include_tree: bool
) -> AsyncIterator[ServerSentEvent]:
    """`start`, then the search's events, then `final` or `error`.

    Closing the iterator cancels the search.
    """
    start = {
        "id": request.id,
        "mode": request.mode,
        "checkpoint": checkpoint_out(request.versions).model_dump(),
    }
    async with aclosing(search.follow()) as items:
        yield _event("start", start)
        async for item in items:
            match item:
                case SearchResult():
                    yield _event("final", generate_out(item, include_tree=include_tree))
                case SparError():
                    yield _event("error", problem(item))
                case _:
                    yield _search_event(item)


def _search_event(event: SearchEvent) -> ServerSentEvent:
    match event:
        case NodeCreated(node):
            return _event("node", node_out(node, ""))
        case NodeJudged(node):
            return _event("judged", node_out(node, ""))
        case NodeAccepted(node):
            return _event("accepted", {"id": node.id})
        case _:
            return _event("delta", {"text": event.text})


def _event(name: str, data: BaseModel | dict[str, Any]) -> ServerSentEvent:
    text = data.model_dump_json() if isinstance(data, BaseModel) else json.dumps(data)
    return ServerSentEvent(text, event=name)

"""A search as server-sent events, while it runs."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from pydantic import BaseModel
from sse_starlette import EventSourceResponse, ServerSentEvent

from app.api.deps import Services
from app.api.live import Live
from app.api.problems import problem
from app.api.render import checkpoint_out, generate_out, node_out
from app.errors import SparError
from app.search.base import (
    NodeAccepted,
    NodeCreated,
    NodeJudged,
    SearchEvent,
    SearchRequest,
    SearchResult,
)

LiveSearch = Live[SearchEvent, SearchResult]


def event_source(events: AsyncIterator[ServerSentEvent], services: Services) -> EventSourceResponse:
    """The events as a response with heartbeats, which a stopping server lets finish."""
    return EventSourceResponse(
        events,
        ping=services.settings.heartbeat_seconds,
        shutdown_grace_period=services.settings.shutdown_seconds,
        sep="\n",
    )


async def search_events(
    request: SearchRequest, search: LiveSearch, *, include_tree: bool
) -> AsyncIterator[ServerSentEvent]:
    """`start`, then what happens as it happens, then `final` or `error`.

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

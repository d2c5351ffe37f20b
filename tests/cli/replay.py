"""A small real HTTP server that replays what a search server sends."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from sse_starlette import EventSourceResponse, ServerSentEvent
from typer.testing import Result

Json = dict[str, Any]
Event = tuple[str, Json]
Run = Callable[..., Result]


def node(number: int, parent: int = 0, **fields: Any) -> Json:
    """A node as the server sends it; not judged unless `fields` say so."""
    return {
        "id": number,
        "parent": parent,
        "depth": 1 if parent == 0 else 2,
        "kind": "response" if parent == 0 else "refinement",
        "text": f"Text of node {number}.",
        "value": None,
        "accepted": False,
        "critique": None,
        "constraints": [],
        "votes": [],
        "partial": False,
        "completion_tokens": 7,
        "created_ms": 1.5,
        **fields,
    }


def answer(**fields: Any) -> Json:
    """A final answer as the server sends it."""
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 1234,
        "responses": 2,
        "refinements": 1,
        "judgments": 3,
        "votes": 12,
        "nodes": 3,
    }
    return {
        "id": "01HZSEARCH",
        "mode": "bfs",
        "response": "Rain falls softly.",
        "accepted": True,
        "value": 0.8,
        "critique": "All asked for is there.",
        "constraints": [],
        "stop_reason": "accepted",
        "checkpoint": {"actor": 0, "refiner": 0},
        "usage": usage,
        "timing_ms": 8230.0,
        "tree": None,
        **fields,
    }


def problem_of(status: int, **problem: Any) -> Json:
    """A problem as the server sends it."""
    return {"type": "invalid_request", "title": "No", "status": status, **problem}


@dataclass
class Server:
    """The server's next responses, and the requests it received."""

    url: str
    events: list[Event] = field(default_factory=list)
    ending: str = "close"
    """After the events: `close` the stream, `break` the connection, or `hang`."""
    response: Response | None = None
    """Sent instead of everything else."""
    later: list[Event] = field(default_factory=list)
    """What the second stream sends, where that is not the same."""
    routes: dict[str, Json] = field(default_factory=dict)
    """JSON or a problem by method and path, such as `GET /searches`: goes before anything else."""
    calls: list[str] = field(default_factory=list)
    """Method and path of every call."""
    asked: list[Json] = field(default_factory=list)
    client_gone: threading.Event = field(default_factory=threading.Event)
    may_end: threading.Event = field(default_factory=threading.Event)
    """Cleared: the last event waits for it."""

    def refuse(self, status: int, headers: dict[str, str] | None = None, **problem: Any) -> None:
        """Answer every call with a problem."""
        media = "application/problem+json"
        body = problem_of(status, **problem)
        self.response = JSONResponse(body, status, headers=headers, media_type=media)

    def reset(self) -> None:
        """Forget the last test."""
        self.events, self.asked, self.response, self.ending = [], [], None, "close"
        self.routes, self.calls, self.later = {}, [], []
        self.client_gone.clear()
        self.may_end.set()


def _stream(server: Server) -> Response:
    async def send() -> AsyncIterator[ServerSentEvent]:
        try:
            yield ServerSentEvent(comment="heartbeat")
            for number, (name, data) in enumerate(server.events, start=1):
                if number == len(server.events):
                    await asyncio.to_thread(server.may_end.wait, 10)
                yield ServerSentEvent(event=name, data=json.dumps(data, ensure_ascii=False))
            if server.later:
                server.events = server.later
            if server.ending == "hang":
                await asyncio.Event().wait()
        finally:
            server.client_gone.set()

    async def send_half() -> AsyncIterator[str]:
        name, data = server.events[0]
        yield f"event: {name}\ndata: {json.dumps(data)}\n\n"
        raise ConnectionAbortedError

    if server.ending == "break":
        return StreamingResponse(send_half(), media_type="text/event-stream")
    return EventSourceResponse(send())


def _json(value: Json) -> Response:
    """The value; one with a `status` number and a `message` is a problem."""
    is_problem = "message" in value and isinstance(value.get("status"), int)
    if is_problem:
        return JSONResponse(value, value["status"], media_type="application/problem+json")
    return JSONResponse(value)


def application(server: Server) -> FastAPI:
    app = FastAPI()

    @app.api_route("/{path:path}", methods=["GET", "POST"])
    async def reply(path: str, request: Request) -> Response:
        body = await request.body()
        target = request.scope["raw_path"].decode() + "?" + request.url.query
        server.asked.append(json.loads(body) if body else {"target": target.removesuffix("?")})
        call = f"{request.method} /{path}"
        server.calls.append(call)
        if call in server.routes:
            return _json(server.routes[call])
        if server.response is not None:
            return server.response
        return _stream(server)

    return app

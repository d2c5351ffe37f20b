"""Gives every request an id, counts it, and writes its line into the log."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.observe.logs import FIELDS, RequestContext, begin_request
from app.observe.metrics import OTHER, Metrics

log = logging.getLogger("app.access")

HEADER = "X-Request-Id"


class AccessLogMiddleware:
    """ASGI middleware, the outermost: whoever answers, the request is counted."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and its id back with the answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        # Not undone at the end: the task is the request's own, and the line that the server
        # writes about an error, after this returned, shall have the id too.
        context = _begin(scope)
        # An error without an answer becomes a 500 further out.
        status = 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = [*message.get("headers", ()), (HEADER.lower().encode(), context.id.encode())]
                message = {**message, "headers": sent}
            await send(message)

        try:
            await self._app(scope, receive, answer)
        finally:
            self._note(scope, context, status, time.perf_counter() - started)

    def _note(self, scope: Scope, context: RequestContext, status: int, seconds: float) -> None:
        method, route = scope["method"], route_of(scope)
        self._metrics.request(method, route, status, seconds, background=context.background)
        fields = {
            "method": method,
            "route": route or OTHER,
            "status": status,
            "duration_ms": round(seconds * 1000, 1),
        }
        words = (method, route or OTHER, status, seconds * 1000)
        log.info("%s %s %d in %.0f ms", *words, extra={FIELDS: fields})


def route_of(scope: Scope) -> str | None:
    """The template of the route that answered, such as `/searches/{search_id}`, if any did."""
    path = getattr(scope.get("route"), "path", None)
    return path if isinstance(path, str) else None


def _begin(scope: Scope) -> RequestContext:
    headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
    return begin_request(headers.get(HEADER.lower().encode()), headers.get(b"traceparent"))

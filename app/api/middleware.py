"""ASGI middleware around every route: request ids, access log, and the limit of body sizes."""

import logging
import time

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import respond, route_of
from app.api.schemas import Problem
from app.observe.logs import FIELDS, RequestContext, begin_request
from app.observe.metrics import OTHER, Metrics

log = logging.getLogger("app.access")

HEADER = "X-Request-Id"


class AccessLogMiddleware:
    """Gives every request an id, counts it, and logs it. The outermost middleware."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request; the response gets the header `X-Request-Id`."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        # Not reset at the end: each request has its own task, and the line that uvicorn logs
        # about an exception after this returns must have the id too.
        context = begin_request(headers.get(HEADER.lower().encode()), headers.get(b"traceparent"))
        # An exception without a response becomes a 500 further out.
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                sent = [*message.get("headers", ()), (HEADER.lower().encode(), context.id.encode())]
                message = {**message, "headers": sent}
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            self._record(scope, context, status, time.perf_counter() - started)

    def _record(self, scope: Scope, context: RequestContext, status: int, seconds: float) -> None:
        method, route = scope["method"], route_of(scope)
        self._metrics.request(method, route, status, seconds, background=context.background)
        fields = {
            "method": method,
            "route": route or OTHER,
            "status": status,
            "duration_ms": round(seconds * 1000, 1),
        }
        log.info("%s %s %d in %.1f ms", *fields.values(), extra={FIELDS: fields})


class BodyLimit:
    """Answers 413 to bodies of more than `max_bytes`, before they are read into memory."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._message = f"the request body is larger than the limit of {max_bytes} bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle the request, counting the bytes of its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._max_bytes:
            details = Problem(
                type="body_too_large", title="Body too large", status=413, message=self._message
            )
            await respond(details, {"Connection": "close"})(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                # FastAPI lets only this type of exception through while it reads a body.
                raise HTTPException(413, self._message, {"Connection": "close"})
            return message

        await self._app(scope, counted, send)

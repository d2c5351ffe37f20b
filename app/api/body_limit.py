"""Refuses request bodies that are too large, before they are read into memory."""

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import respond
from app.api.schemas import Problem


class BodyLimit:
    """ASGI middleware: a body of more than `max_bytes` gets 413 with the numbers."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._message = f"the request body is larger than the limit of {max_bytes} bytes"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._max_bytes:
            await self._refuse(scope, receive, send)
            return
        received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                # The one kind of error that FastAPI lets through while it reads a body.
                raise HTTPException(413, self._message, {"Connection": "close"})
            return message

        await self._app(scope, counted, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        details = Problem(
            type="body_too_large", title="Body too large", status=413, message=self._message
        )
        await respond(details, {"Connection": "close"})(scope, receive, send)

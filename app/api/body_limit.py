"""Refuses request bodies that are too large, before they are read into memory."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.problems import respond
from app.api.schemas import Problem


class BodyLimit:
    """ASGI middleware: a body of more than `max_bytes` gets 413 with the numbers."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, counting its body."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        announced = dict(scope["headers"]).get(b"content-length", b"0")
        if announced.isdigit() and int(announced) > self._max_bytes:
            return await self._refuse(scope, receive, send)
        received = 0
        started = False

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self._max_bytes:
                raise _TooLarge
            return message

        async def noted(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, counted, noted)
        except _TooLarge:
            if started:
                raise
            await self._refuse(scope, receive, send)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        details = Problem(
            type="body_too_large",
            title="Body too large",
            status=413,
            message=f"the request body is larger than the limit of {self._max_bytes} bytes",
        )
        await respond(details, {"Connection": "close"})(scope, receive, send)


class _TooLarge(Exception):
    """Stops the reading of a body."""

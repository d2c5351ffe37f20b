"""ASGI middleware: nothing passes but what the guard lets in."""

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.guard import Guard, Request, Visit
from app.api.problems import problem, respond
from app.errors import SparError, Unauthenticated

BEARER = 'Bearer realm="spar"'


class Doorkeeper:
    """Asks `app.state.guard` about each request, before its body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with what is wrong."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        guard: Guard = scope["app"].state.guard
        request = Request.of(scope)
        inside = False
        try:
            async with guard.visit(request) as visit:
                inside = True
                await self._app(scope, receive, _telling(send, visit))
        except SparError as error:
            if inside:
                raise
            await respond(problem(error), _headers(error))(scope, receive, send)


def _telling(send: Send, visit: Visit) -> Send:
    async def telling(message: Message) -> None:
        if message["type"] == "http.response.start":
            visit.status = message["status"]
            MutableHeaders(scope=message).update(visit.headers)
        await send(message)

    return telling


def _headers(error: SparError) -> dict[str, str]:
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = BEARER
    return headers

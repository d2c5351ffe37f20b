"""ASGI middleware: nothing passes but what the authorizer lets in."""

import logging
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Send
from starlette.types import Scope as AsgiScope
from starlette.types import Scope as Connection

from app.api.problems import problem, respond
from app.config.settings import Settings
from app.db.keys import Action, AuditRepository
from app.db.session import Database
from app.domain.key import Key, Scope
from app.errors import DatabaseError, Forbidden, SparError, Unauthenticated
from app.http_client import is_loopback
from app.keys.cache import KeyCache
from app.keys.limits import Limiter, usage_sink
from app.keys.policy import keys_needed

Headers = dict[str, str]


def check_origin(method: str, headers: Headers) -> None:
    """Raise `Forbidden` for what a page of another site wants changed.

    Browsers name the page's site in `Origin`, and how it relates to ours in `Sec-Fetch-Site`
    (`none`: the user's own doing); other clients send neither.
    """
    if method in ("GET", "HEAD", "OPTIONS"):
        return
    host = headers.get("host", "").lower()
    origin = headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc.lower() != host
    if foreign or headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise Forbidden("requests from web pages of other sites are not taken")


def check_host(headers: Headers, allowed: str) -> None:
    """Raise `Forbidden` unless the request names this machine by an address or as localhost.

    For a server without keys: a foreign site can make its own name stand for 127.0.0.1, and its
    pages could then read here. `allowed` is a further name that is right.
    """
    name = urlsplit(f"//{headers.get('host', 'localhost')}").hostname or ""
    if name in ("localhost", allowed.lower()) or name.endswith(".localhost"):
        return
    try:
        ip_address(name)
    except ValueError:
        raise Forbidden(
            f"this server takes requests for localhost only, not for {name!r}; with keys"
            " (SPAR_KEYS=required) it takes them under any name"
        ) from None


Wanted = frozenset[Scope]

ADMIN: Wanted = frozenset({Scope.ADMIN})
GENERATE: Wanted = frozenset({Scope.GENERATE})
JUDGE: Wanted = frozenset({Scope.JUDGE})
EITHER = GENERATE | JUDGE
NOBODY_ASKED: Wanted = frozenset()
"""Of routes that are open to everybody."""

METRICS = "/metrics"
READING = frozenset({"GET", "HEAD"})

_OPEN = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})
_READ = {"/constraints": EITHER, "/v1/models": EITHER}
_WRITTEN = {
    "/generate": GENERATE,
    "/v1/chat/completions": GENERATE,
    "/judge": JUDGE,
    "/feedback": GENERATE,
    "/tokenize": EITHER,
}
_PAGE = re.compile("/|/(ui|static)/.*")
"""Pages hold no data of their own: their scripts ask the routes above, with the reader's key."""
_ONE_SEARCH = re.compile("/searches/[0-9A-HJKMNP-TV-Z]{26}")
"""Who knows the id of a search, which nobody can guess, may see it; lists are for admins."""

SEARCHING = frozenset({"/generate", "/v1/chat/completions", "/judge"})
"""Where models work."""


def wanted_scopes(method: str, path: str) -> Wanted:
    """The scopes of which one is enough; empty for a route that is open."""
    if method in READING:
        if path in _OPEN or _PAGE.fullmatch(path):
            return NOBODY_ASKED
        if _ONE_SEARCH.fullmatch(path):
            return GENERATE
        return _READ.get(path, ADMIN)
    if method == "POST":
        return _WRITTEN.get(path, ADMIN)
    return ADMIN


def is_action(method: str, wanted: Wanted) -> bool:
    """Whether a request is an admin action, which is recorded: one that may change something."""
    return wanted == ADMIN and method not in READING and method != "OPTIONS"


log = logging.getLogger(__name__)

NO_KEY = "without a key"


@dataclass(frozen=True, slots=True)
class Request:
    """What the authorizer looks at."""

    method: str
    path: str
    headers: dict[str, str]
    client: str | None

    @classmethod
    def of(cls, connection: Connection) -> "Request":
        """The request of an ASGI connection."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in connection["headers"]
        }
        client = connection.get("client")
        return cls(connection["method"], connection["path"], headers, client and client[0])


@dataclass(slots=True)
class Visit:
    """One request that was let in: what to tell it of its limits, and how it ended."""

    headers: dict[str, str] = field(default_factory=dict)
    status: int = 500


class Authorizer:
    """Lets requests in; everything it refuses is a `SparError`."""

    def __init__(self, settings: Settings, database: Database, internal: Key | None) -> None:
        self.key_cache = KeyCache(database, internal)
        self._limiter = Limiter()
        self._database = database
        self._settings = settings
        self._needed = keys_needed(settings)
        self._local = is_loopback(settings.host)

    @asynccontextmanager
    async def visit(self, request: Request) -> AsyncIterator[Visit]:
        """Let a request in for the block, which sets the visit's `status`.

        Raises `Unauthenticated`, `Forbidden`, `RateLimited` and `DatabaseError`.
        """
        check_origin(request.method, request.headers)
        wanted = self._wanted(request)
        if not self._needed and self._local:
            check_host(request.headers, self._settings.host)
        key = await self._key(request) if self._needed and wanted != NOBODY_ASKED else None
        visit = Visit()
        async with self._recorded(request, key, wanted, visit):
            if key is None:
                yield visit
                return
            if not key.may(wanted):
                scopes = " or ".join(sorted(wanted))
                raise Forbidden(f"this needs a key with the scope {scopes}; {key.name!r} has none")
            visit.headers = await self._limiter.admit(key)
            with self._charging(request, key):
                try:
                    yield visit
                finally:
                    await self._limiter.repay(key)

    def _wanted(self, request: Request) -> Wanted:
        if request.path == METRICS:
            return frozenset(Scope) if self._settings.metrics_key else NOBODY_ASKED
        return wanted_scopes(request.method, request.path)

    async def _key(self, request: Request) -> Key:
        shown = shown_key(request.headers.get("authorization", ""))
        if shown is None:
            raise Unauthenticated("send a key, with the header Authorization: Bearer spar_...")
        key = await self.key_cache.find(shown)
        if key is None:
            raise Unauthenticated("the key is not known, or was revoked")
        return key

    @contextmanager
    def _charging(self, request: Request, key: Key) -> Iterator[None]:
        """Put what the block's model calls cost on the key."""
        if request.path not in SEARCHING:
            yield
            return
        with self._limiter.searching(key):
            before = usage_sink.set(lambda tokens: self._limiter.charge(key, tokens))
            try:
                yield
            finally:
                usage_sink.reset(before)

    @asynccontextmanager
    async def _recorded(
        self, request: Request, key: Key | None, wanted: Wanted, visit: Visit
    ) -> AsyncIterator[None]:
        """Record an admin action before it is done, and how it ended after it."""
        if not is_action(request.method, wanted) or wanted != ADMIN:
            yield
            return
        action = Action(
            who=NO_KEY if key is None else key.name,
            action=f"{request.method} {request.path}",
            key_id=None if key is None else key.id,
            client=request.client,
        )
        async with self._database.session() as session:
            action_id = await AuditRepository(session).begin(action)
        try:
            yield
        except SparError as error:
            visit.status = error.status
            raise
        finally:
            await self._end(action_id, visit.status)

    async def _end(self, action_id: str, status: int) -> None:
        try:
            async with self._database.session() as session:
                await AuditRepository(session).end(action_id, status)
        except DatabaseError as error:
            # What was done is recorded; the action is over and its answer may be out.
            log.warning("how action %s ended is not recorded: %s", action_id, error.message)


def shown_key(authorization: str) -> str | None:
    """The key of a header `Authorization: Bearer KEY`; None for any other."""
    scheme, _, credentials = authorization.partition(" ")
    return credentials.strip() or None if scheme.lower() == "bearer" else None


BEARER = 'Bearer realm="spar"'


class AuthMiddleware:
    """Asks `app.state.authorizer` about each request, before its body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Pass the request on, or answer it with what is wrong."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        authorizer: Authorizer = scope["app"].state.authorizer
        request = Request.of(scope)
        inside = False
        try:
            async with authorizer.visit(request) as visit:
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

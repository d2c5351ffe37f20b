"""Authentication, authorization, rate limiting and the audit log, as ASGI middleware."""

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

log = logging.getLogger(__name__)

Headers = dict[str, str]


def check_origin(method: str, headers: Headers) -> None:
    """Reject state-changing requests from pages of other sites (CSRF).

    Browsers send the page's origin in `Origin` and its relation to ours in `Sec-Fetch-Site`
    (`none`: initiated by the user); other clients send neither.

    Raises:
        Forbidden: the request comes from a page of another site.
    """
    if method in ("GET", "HEAD", "OPTIONS"):
        return
    host = headers.get("host", "").lower()
    origin = headers.get("origin")
    foreign = origin is not None and urlsplit(origin).netloc.lower() != host
    if foreign or headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise Forbidden("requests from web pages of other sites are rejected")


def check_host(headers: Headers, allowed: str) -> None:
    """Reject requests to names other than localhost, IP addresses and `allowed`.

    A server without keys needs this against DNS rebinding: another site can resolve its own name
    to 127.0.0.1, and its pages could then read from this server.

    Raises:
        Forbidden: the `Host` header has another name.
    """
    name = urlsplit(f"//{headers.get('host', 'localhost')}").hostname or ""
    if name in ("localhost", allowed.lower()) or name.endswith(".localhost"):
        return
    try:
        ip_address(name)
    except ValueError:
        raise Forbidden(
            f"this server accepts requests for localhost only, not for {name!r}; with keys"
            " (SPAR_KEYS=required) it accepts any name"
        ) from None


Scopes = frozenset[Scope]

ADMIN: Scopes = frozenset({Scope.ADMIN})
GENERATE: Scopes = frozenset({Scope.GENERATE})
JUDGE: Scopes = frozenset({Scope.JUDGE})
EITHER = GENERATE | JUDGE
PUBLIC: Scopes = frozenset()
"""Of routes that need no key."""

METRICS = "/metrics"
READ_METHODS = frozenset({"GET", "HEAD"})

_PUBLIC_PATHS = frozenset({"/healthz", "/readyz", "/docs", "/openapi.json"})
_GET_SCOPES = {"/constraints": EITHER, "/v1/models": EITHER}
_POST_SCOPES = {
    "/generate": GENERATE,
    "/v1/chat/completions": GENERATE,
    "/judge": JUDGE,
    "/feedback": GENERATE,
    "/tokenize": EITHER,
}
_PAGE = re.compile("/|/(ui|static)/.*")
"""Pages hold no data; their scripts call the API with the user's key."""
_ONE_SEARCH = re.compile("/searches/[0-9A-HJKMNP-TV-Z]{26}")
"""The unguessable id of a search gives access to it; lists require the admin scope."""

SEARCHING = frozenset({"/generate", "/v1/chat/completions", "/judge"})
"""Routes that call models."""


def required_scopes(method: str, path: str) -> Scopes:
    """The scopes of which a key needs one; empty for a public route."""
    if method in READ_METHODS:
        if path in _PUBLIC_PATHS or _PAGE.fullmatch(path):
            return PUBLIC
        if _ONE_SEARCH.fullmatch(path):
            return GENERATE
        return _GET_SCOPES.get(path, ADMIN)
    if method == "POST":
        return _POST_SCOPES.get(path, ADMIN)
    return ADMIN


def is_action(method: str, required: Scopes) -> bool:
    """Whether a request is an admin action that may change something, which is audited."""
    return required == ADMIN and method not in READ_METHODS and method != "OPTIONS"


NO_KEY = "without a key"


@dataclass(frozen=True, slots=True)
class Request:
    """The parts of a request that authorization depends on."""

    method: str
    path: str
    headers: dict[str, str]
    client: str | None

    @classmethod
    def of(cls, connection: AsgiScope) -> "Request":
        """The request of an ASGI connection."""
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in connection["headers"]
        }
        client = connection.get("client")
        return cls(connection["method"], connection["path"], headers, client and client[0])


@dataclass(slots=True)
class Visit:
    """An authorized request: its rate limit headers, and its response status."""

    headers: dict[str, str] = field(default_factory=dict)
    status: int = 500


class Authorizer:
    """Authorizes requests, limits their rate, and audits admin actions."""

    def __init__(self, settings: Settings, database: Database, internal: Key | None) -> None:
        self.key_cache = KeyCache(database, internal)
        self._limiter = Limiter()
        self._database = database
        self._settings = settings
        self._needed = keys_needed(settings)
        self._loopback = is_loopback(settings.host)

    @asynccontextmanager
    async def visit(self, request: Request) -> AsyncIterator[Visit]:
        """Authorize a request for the block, which sets the visit's `status`.

        Raises:
            Unauthenticated: a key is required, and is missing or invalid.
            Forbidden: the key lacks the scope, or the origin or host is not allowed.
            RateLimited: the key's limit is reached.
            DatabaseError: the keys cannot be read, or the action not be audited.
        """
        check_origin(request.method, request.headers)
        required = self._required(request)
        if not self._needed and self._loopback:
            check_host(request.headers, self._settings.host)
        key = await self._key(request) if self._needed and required != PUBLIC else None
        visit = Visit()
        async with self._audited(request, key, required, visit):
            if key is None:
                yield visit
                return
            if not key.may(required):
                scopes = " or ".join(sorted(required))
                raise Forbidden(f"{key.name!r} lacks the scope that this requires: {scopes}")
            visit.headers = await self._limiter.admit(key)
            with self._charging(request, key):
                try:
                    yield visit
                finally:
                    await self._limiter.repay(key)

    def _required(self, request: Request) -> Scopes:
        if request.path == METRICS:
            return frozenset(Scope) if self._settings.metrics_key else PUBLIC
        return required_scopes(request.method, request.path)

    async def _key(self, request: Request) -> Key:
        text = bearer_key(request.headers.get("authorization", ""))
        if text is None:
            raise Unauthenticated("send a key, with the header Authorization: Bearer spar_...")
        key = await self.key_cache.find(text)
        if key is None:
            raise Unauthenticated("the key is unknown or revoked")
        return key

    @contextmanager
    def _charging(self, request: Request, key: Key) -> Iterator[None]:
        """Charge the tokens of the block's model calls to the key."""
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
    async def _audited(
        self, request: Request, key: Key | None, required: Scopes, visit: Visit
    ) -> AsyncIterator[None]:
        """Write an admin action into the audit log before it runs, and its status afterwards."""
        if not is_action(request.method, required):
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
            # The action is already recorded, and its response may be sent.
            log.warning("the status of action %s cannot be recorded: %s", action_id, error.message)


def bearer_key(authorization: str) -> str | None:
    """The key in a header `Authorization: Bearer KEY`; None for any other header."""
    scheme, _, credentials = authorization.partition(" ")
    return credentials.strip() or None if scheme.lower() == "bearer" else None


BEARER = 'Bearer realm="spar"'


class AuthMiddleware:
    """Authorizes each request by `app.state.authorizer`, before its body is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Handle the request, or respond with the error."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        authorizer: Authorizer = scope["app"].state.authorizer
        request = Request.of(scope)
        authorized = False
        try:
            async with authorizer.visit(request) as visit:
                authorized = True
                await self._app(scope, receive, _noting_status(send, visit))
        except SparError as error:
            if authorized:
                raise
            await respond(problem(error), _headers(error))(scope, receive, send)


def _noting_status(send: Send, visit: Visit) -> Send:
    async def send_noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            visit.status = message["status"]
            MutableHeaders(scope=message).update(visit.headers)
        await send(message)

    return send_noting


def _headers(error: SparError) -> dict[str, str]:
    headers = {}
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    if isinstance(error, Unauthenticated):
        headers["WWW-Authenticate"] = BEARER
    return headers

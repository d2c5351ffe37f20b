"""Who may come in, as what, and how often; what admins do is recorded."""

import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from starlette.types import Scope as Connection

from app.api.origin import check_host, check_origin
from app.api.scopes import ADMIN, METRICS, NOBODY_ASKED, SEARCHING, Wanted, is_action, wanted_scopes
from app.db.audit import Action, AuditRepository
from app.db.session import Database
from app.domain.key import Key, Scope
from app.errors import DatabaseError, Forbidden, SparError, Unauthenticated
from app.keys.limiter import Limiter
from app.keys.policy import is_loopback, keys_needed
from app.keys.ring import KeyRing
from app.keys.spending import spender
from app.settings import Settings

log = logging.getLogger(__name__)

NO_KEY = "without a key"


@dataclass(frozen=True, slots=True)
class Request:
    """What the guard looks at."""

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


class Guard:
    """Lets requests in; everything it refuses is a `SparError`."""

    def __init__(self, settings: Settings, database: Database, internal: Key | None) -> None:
        self.ring = KeyRing(database, internal)
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
            with self._spending(request, key):
                try:
                    yield visit
                finally:
                    await self._limiter.settle(key)

    def _wanted(self, request: Request) -> Wanted:
        if request.path == METRICS:
            return frozenset(Scope) if self._settings.metrics_key else NOBODY_ASKED
        return wanted_scopes(request.method, request.path)

    async def _key(self, request: Request) -> Key:
        shown = shown_key(request.headers.get("authorization", ""))
        if shown is None:
            raise Unauthenticated("send a key, with the header Authorization: Bearer spar_...")
        key = await self.ring.find(shown)
        if key is None:
            raise Unauthenticated("the key is not known, or was revoked")
        return key

    @contextmanager
    def _spending(self, request: Request, key: Key) -> Iterator[None]:
        """Put what the block's model calls cost on the key."""
        if request.path not in SEARCHING:
            yield
            return
        with self._limiter.searching(key):
            before = spender.set(lambda tokens: self._limiter.owe(key, tokens))
            try:
                yield
            finally:
                spender.reset(before)

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

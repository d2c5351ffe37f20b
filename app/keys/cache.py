"""The keys that are in use, as a server knows them: a few seconds old at most."""

import asyncio
import hashlib
import hmac
import logging
import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from app.db.keys import KeyRepository
from app.db.session import Database
from app.domain.key import Key
from app.errors import DatabaseError

PREFIX = "spar_"
ID_BYTES = 6
SECRET_BYTES = 32
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Presented:
    """A key that somebody shows; neither part is known to be right."""

    id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The whole key."""
        return f"{PREFIX}{self.id}_{self.secret}"


def make_key() -> Presented:
    """A new key from the system's random numbers."""
    return Presented(secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES))


def read_key(text: str) -> Presented | None:
    """The parts of a key; None for what is none."""
    if not text.startswith(PREFIX) or len(text) > LONGEST:
        return None
    key_id, _, secret = text.removeprefix(PREFIX).partition("_")
    return Presented(key_id, secret) if key_id and secret else None


def digest_of(secret: str) -> str:
    """What is stored of a secret: its SHA-256 in hexadecimal."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def proves(secret: str, digest: str) -> bool:
    """Whether this is the secret of that digest, in the same time wherever they differ."""
    return hmac.compare_digest(digest_of(secret), digest)


log = logging.getLogger(__name__)

FRESH_SECONDS = 2.0
"""How long a revoked key may still work, and a new one not yet."""
LOOK_SECONDS = 2.0
USED_EVERY_SECONDS = 60.0


class KeyCache:
    """Recognises keys without a query per request: all of them are read, every few seconds.

    While the database is away, the keys that were known last stay known. `internal` is a key of
    this process's own, which is in no table. Belongs to one event loop.
    """

    def __init__(
        self, database: Database, internal: Key | None = None, fresh_seconds: float = FRESH_SECONDS
    ) -> None:
        self._database = database
        self._internal = internal
        self.fresh_seconds = fresh_seconds
        self._keys: dict[str, Key] | None = None
        self._looked_at = 0.0
        self._look = asyncio.Lock()
        self._used: dict[str, float] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def find(self, text: str) -> Key | None:
        """The key of this text, if it is one that is in use.

        Raises `DatabaseError` when the keys could never be read.
        """
        presented = read_key(text)
        if presented is None:
            return None
        internal = self._internal
        if internal is not None and presented.id == internal.id:
            return internal if proves(presented.secret, internal.digest) else None
        key = (await self._known()).get(presented.id)
        if key is None or not proves(presented.secret, key.digest):
            return None
        self._note_use(key)
        return key

    async def close(self) -> None:
        """Wait until every use is noted."""
        await asyncio.gather(*self._notes)

    async def _known(self) -> dict[str, Key]:
        if self._stale() or self._keys is None:
            async with self._look:
                if self._stale() or self._keys is None:
                    self._keys = await self._read()
                    self._looked_at = time.monotonic()
        return self._keys

    def _stale(self) -> bool:
        return time.monotonic() - self._looked_at > self.fresh_seconds

    async def _read(self) -> dict[str, Key]:
        try:
            async with asyncio.timeout(LOOK_SECONDS), self._database.session() as session:
                return {key.id: key for key in await KeyRepository(session).in_use()}
        except (DatabaseError, TimeoutError) as error:
            if self._keys is None:
                raise DatabaseError("the keys cannot be read now", retry_after=1) from error
            log.warning("the keys cannot be read now; those known last stay good: %s", error)
            return self._keys

    def _note_use(self, key: Key) -> None:
        """Have the time written, at most once a minute."""
        now = time.monotonic()
        if now - self._used.get(key.id, -USED_EVERY_SECONDS) < USED_EVERY_SECONDS:
            return
        self._used[key.id] = now
        task = asyncio.create_task(self._write_use(key.id))
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _write_use(self, key_id: str) -> None:
        try:
            async with self._database.session() as session:
                await KeyRepository(session).used(key_id, datetime.now(UTC))
        except DatabaseError as error:
            log.info("the last use of a key is not noted: %s", error.message)

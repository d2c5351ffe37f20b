"""API keys: creation, parsing, and the cache of a server."""

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

log = logging.getLogger(__name__)

PREFIX = "spar_"
ID_BYTES = 6
SECRET_BYTES = 32
LONGEST = 200


@dataclass(frozen=True, slots=True)
class Presented:
    """A key as a client presents it, not yet verified."""

    id: str
    secret: str = field(repr=False)

    @property
    def text(self) -> str:
        """The whole key."""
        return f"{PREFIX}{self.id}_{self.secret}"


def make_key() -> Presented:
    """A new random key."""
    return Presented(secrets.token_hex(ID_BYTES), secrets.token_urlsafe(SECRET_BYTES))


def read_key(text: str) -> Presented | None:
    """The parts of a key; None for a malformed one."""
    if not text.startswith(PREFIX) or len(text) > LONGEST:
        return None
    key_id, _, secret = text.removeprefix(PREFIX).partition("_")
    return Presented(key_id, secret) if key_id and secret else None


def digest_of(secret: str) -> str:
    """The SHA-256 of a secret in hexadecimal, which is all that is stored of it."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def proves(secret: str, digest: str) -> bool:
    """Whether the digest is of this secret, compared in constant time."""
    return hmac.compare_digest(digest_of(secret), digest)


FRESH_SECONDS = 2.0
"""Longest delay until a new key works and a revoked one does not."""
READ_SECONDS = 2.0
USED_EVERY_SECONDS = 60.0


class KeyCache:
    """Looks keys up without a query per request: all of them are read every few seconds.

    While the database is unavailable, the keys read last stay valid. `internal` is the key of the
    supervised worker, which is in no table. Belongs to one event loop.
    """

    def __init__(
        self, database: Database, internal: Key | None = None, fresh_seconds: float = FRESH_SECONDS
    ) -> None:
        self._database = database
        self._internal = internal
        self.fresh_seconds = fresh_seconds
        self._keys: dict[str, Key] | None = None
        self._read_at = 0.0
        self._reading = asyncio.Lock()
        self._used: dict[str, float] = {}
        self._writes: set[asyncio.Task[None]] = set()

    async def find(self, text: str) -> Key | None:
        """The valid key that this text presents, if any.

        Raises:
            DatabaseError: the keys could not be read yet.
        """
        presented = read_key(text)
        if presented is None:
            return None
        internal = self._internal
        if internal is not None and presented.id == internal.id:
            return internal if proves(presented.secret, internal.digest) else None
        key = (await self._valid()).get(presented.id)
        if key is None or not proves(presented.secret, key.digest):
            return None
        self._record_use(key)
        return key

    async def close(self) -> None:
        """Wait for the pending writes of last uses."""
        await asyncio.gather(*self._writes)

    async def _valid(self) -> dict[str, Key]:
        if self._stale() or self._keys is None:
            async with self._reading:
                if self._stale() or self._keys is None:
                    self._keys = await self._read()
                    self._read_at = time.monotonic()
        return self._keys

    def _stale(self) -> bool:
        return time.monotonic() - self._read_at > self.fresh_seconds

    async def _read(self) -> dict[str, Key]:
        try:
            async with asyncio.timeout(READ_SECONDS), self._database.session() as session:
                return {key.id: key for key in await KeyRepository(session).in_use()}
        except (DatabaseError, TimeoutError) as error:
            if self._keys is None:
                raise DatabaseError("the keys cannot be read", retry_after=1) from error
            log.warning("the keys cannot be read; those read last stay valid: %s", error)
            return self._keys

    def _record_use(self, key: Key) -> None:
        """Write the time of the last use, at most once a minute."""
        now = time.monotonic()
        if now - self._used.get(key.id, -USED_EVERY_SECONDS) < USED_EVERY_SECONDS:
            return
        self._used[key.id] = now
        task = asyncio.create_task(self._write_use(key.id))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write_use(self, key_id: str) -> None:
        try:
            async with self._database.session() as session:
                await KeyRepository(session).used(key_id, datetime.now(UTC))
        except DatabaseError as error:
            log.info("the last use of a key cannot be written: %s", error.message)

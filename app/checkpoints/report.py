"""What one server serves, written down for people and other processes to read."""

import asyncio
import logging
from dataclasses import replace
from datetime import UTC, datetime

from ulid import ULID

from app.db.servers import ServerRepository, ServerState
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.errors import DatabaseError

log = logging.getLogger(__name__)


class ServerReport:
    """This server's row, from its start to its end."""

    def __init__(self, database: Database, url: str, seconds: float) -> None:
        """`url` is the server's own address; `seconds` the longest time between two reports."""
        now = datetime.now(UTC)
        self._database = database
        self._seconds = seconds
        self._state = ServerState(str(ULID()), url, Versions(), False, None, now, now)
        self._due = 0.0

    @property
    def id(self) -> str:
        """What tells this server from others, and from itself after a restart."""
        return self._state.id

    async def say(self, versions: Versions, *, ready: bool, error: str | None) -> None:
        """Write down what holds now, if it is news or time to. Raises `DatabaseError`."""
        state = replace(self._state, versions=versions, ready=ready, error=error)
        now = asyncio.get_running_loop().time()
        if state == self._state and now < self._due:
            return
        async with self._database.session() as session:
            await ServerRepository(session).report(replace(state, seen_at=datetime.now(UTC)))
        self._state, self._due = state, now + self._seconds

    async def end(self) -> None:
        """Remove the row."""
        try:
            async with self._database.session() as session:
                await ServerRepository(session).remove(self.id)
        except DatabaseError as error:
            # Readers tell by `seen_at` that nobody is there any more.
            log.warning("this server stays on the record of servers: %s", error.message)

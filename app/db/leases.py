"""Leases: one process at a time does a thing, and a former holder can no longer write.

A transaction of the holder begins by renewing the lease under its fence. That one statement is
heartbeat and check at once: it locks the lease's row until the transaction ends, so nobody can
take the lease over in between, and it changes nothing when somebody else has it by now.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from sqlalchemy import insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.session import Database, FromNow
from app.db.tables import LeaseRow
from app.errors import DatabaseError, LeaseLost

log = logging.getLogger(__name__)

PAUSE_SECONDS = 0.5
TRAINING = "training"
"""The lease under which a trainer has the GPU, where engines sleep meanwhile."""


class Lease:
    """A held lease. Times are the database's, so holders' own clocks do not matter."""

    def __init__(self, database: Database, name: str, fence: int, seconds: float) -> None:
        self.fence = fence
        self._database = database
        self._name = name
        self._seconds = seconds

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A transaction that only happens while the lease is held; renews it.

        Raises `LeaseLost` when another process has it, and `DatabaseError`.
        """
        async with self._database.session() as session:
            renewed = await session.execute(
                update(LeaseRow)
                .where(LeaseRow.name == self._name, LeaseRow.fence == self.fence)
                .values(expires_at=FromNow(self._seconds))
                .returning(LeaseRow.fence)
            )
            if renewed.scalar() is None:
                raise LeaseLost(f"another process has taken over the lease {self._name!r}")
            yield session

    async def write(self, change: Callable[[AsyncSession], Awaitable[None]]) -> None:
        """Make a change in such a transaction, and wait for a database that is away.

        A connection that breaks during a commit has the change made twice: the second time must
        not matter. Raises `LeaseLost`, and `DatabaseError` for trouble that will not pass.
        """
        told = False
        while True:
            try:
                async with self.session() as session:
                    return await change(session)
            except DatabaseError as error:
                if error.retry_after is None:
                    raise
                if not told:
                    log.warning("%s Trying again.", error.message)
                told = True
            await asyncio.sleep(PAUSE_SECONDS)

    async def renew(self) -> None:
        """Hold on to the lease for its full time again. Raises `LeaseLost`."""
        async with self.session():
            pass

    async def release(self) -> None:
        """Let others take the lease at once. Raises `LeaseLost`."""
        async with self.session() as session:
            await session.execute(
                update(LeaseRow).where(LeaseRow.name == self._name).values(expires_at=FromNow())
            )


async def acquire(database: Database, name: str, owner: str, seconds: float) -> Lease | None:
    """Take the lease for `seconds` if nobody holds it; None while somebody does."""
    values = {"owner": owner, "expires_at": FromNow(seconds)}
    async with database.session() as session:
        fence = await session.scalar(
            update(LeaseRow)
            .where(
                LeaseRow.name == name,
                or_(LeaseRow.expires_at <= FromNow(), LeaseRow.owner == owner),
            )
            .values(fence=LeaseRow.fence + 1, **values)
            .returning(LeaseRow.fence)
        )
        if fence is None and await session.get(LeaseRow, name) is None:
            try:
                async with session.begin_nested():
                    await session.execute(insert(LeaseRow).values(name=name, fence=1, **values))
            except IntegrityError:
                return None
            fence = 1
    return None if fence is None else Lease(database, name, fence, seconds)


async def holder(session: AsyncSession, name: str) -> str | None:
    """Who holds the lease now; None when nobody does."""
    return await session.scalar(
        select(LeaseRow.owner).where(LeaseRow.name == name, LeaseRow.expires_at > FromNow())
    )

"""Leases: mutual exclusion of processes, with fencing of former holders.

Each transaction of the holder begins by renewing the lease under its fencing number. That
statement is both heartbeat and check: it locks the lease's row until the transaction ends, so no
other process can take the lease over in between, and it updates no row if another process has it.
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

RETRY_SECONDS = 0.5
TRAINING = "training"
"""The lease of a trainer on the GPU; engines that share the GPU sleep while it is held."""


class Lease:
    """A held lease. Times are those of the database's clock."""

    def __init__(self, database: Database, name: str, fence: int, seconds: float) -> None:
        self.fence = fence
        self._database = database
        self._name = name
        self._seconds = seconds

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        """A transaction that renews the lease first.

        Raises:
            LeaseLost: another process has taken the lease over.
            DatabaseError: the database cannot be used.
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
        """Make an idempotent change in such a transaction; retry while the database is unavailable.

        The change runs twice if the connection breaks during a commit.

        Raises:
            LeaseLost: another process has taken the lease over.
            DatabaseError: an error that a retry does not solve.
        """
        warned = False
        while True:
            try:
                async with self.session() as session:
                    return await change(session)
            except DatabaseError as error:
                if error.retry_after is None:
                    raise
                if not warned:
                    log.warning("%s Trying again.", error.message)
                warned = True
            await asyncio.sleep(RETRY_SECONDS)

    async def renew(self) -> None:
        """Extend the lease to its full duration.

        Raises:
            LeaseLost: another process has taken the lease over.
        """
        async with self.session():
            pass

    async def release(self) -> None:
        """End the lease now.

        Raises:
            LeaseLost: another process has taken the lease over.
        """
        async with self.session() as session:
            await session.execute(
                update(LeaseRow).where(LeaseRow.name == self._name).values(expires_at=FromNow())
            )


async def acquire(database: Database, name: str, owner: str, seconds: float) -> Lease | None:
    """Take the lease for `seconds`; None while another owner holds it."""
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
    """The owner that holds the lease now, or None."""
    return await session.scalar(
        select(LeaseRow.owner).where(LeaseRow.name == name, LeaseRow.expires_at > FromNow())
    )

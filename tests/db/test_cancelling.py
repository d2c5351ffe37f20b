"""A cancelled transaction releases its locks, whatever statement it was in."""

import asyncio

import pytest

from app.db.leases import Lease, acquire
from app.db.session import Database
from tests.helpers.databases import impatient_url


@pytest.mark.parametrize("turns", range(2, 40, 4))
async def test_a_cancelled_transaction_keeps_no_lock(
    database: Database, url: str, turns: int
) -> None:
    lease = await acquire(database, "work", "first", 60)
    assert lease is not None
    # The task keeps what it was doing when it was cancelled, as a log or a debugger would.
    task = asyncio.create_task(write(lease))
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    other = Database(impatient_url(url))
    assert await acquire(other, "work", "second", 60) is None
    await other.close()


async def write(lease: Lease) -> None:
    async with lease.session():
        await asyncio.sleep(60)

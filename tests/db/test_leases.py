"""One process holds a lease, and a former holder can no longer write."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import update

from app.db.iterations import IterationRepository, NewIteration
from app.db.leases import Lease, acquire, holder
from app.db.session import Database, FromNow
from app.db.tables import LeaseRow
from app.domain.iteration import PRESETS
from app.errors import DatabaseError, LeaseLost

NAME = "work"
HOUR = 3600.0


@pytest.fixture
async def second(url: str) -> AsyncIterator[Database]:
    """The same file as `database`, as another process opens it."""
    opened = Database(url)
    yield opened
    await opened.close()


async def take(database: Database, owner: str) -> Lease:
    lease = await acquire(database, NAME, owner, HOUR)
    assert lease is not None
    return lease


async def expire(database: Database) -> None:
    """Let the lease expire, as if its holder had not renewed it."""
    async with database.session() as session:
        await session.execute(update(LeaseRow).values(expires_at=FromNow(-1)))


async def queue(lease: Lease) -> None:
    """Write something as the holder."""
    async with lease.session() as session:
        await IterationRepository(session).add(NewIteration("micro", PRESETS["micro"]))


async def written(database: Database) -> int:
    async with database.session() as session:
        return len((await IterationRepository(session).page(100))[0])


async def held_by(database: Database) -> str | None:
    async with database.session() as session:
        return await holder(session, NAME)


async def test_only_one_holds_a_lease(database: Database, second: Database) -> None:
    assert await held_by(database) is None
    await take(database, "first")
    assert await acquire(second, NAME, "second", HOUR) is None
    assert await held_by(second) == "first"


async def test_another_lease_is_free(database: Database) -> None:
    await take(database, "first")
    assert await acquire(database, "other work", "second", HOUR) is not None


@pytest.mark.parametrize("known", [False, True])
async def test_one_of_many_concurrent_owners_acquires_the_lease(
    database: Database, second: Database, known: bool
) -> None:
    if known:
        await take(database, "earlier")
        await expire(database)
    asked = await asyncio.gather(
        *(
            acquire(side, NAME, f"{place} {number}", HOUR)
            for number in range(5)
            for place, side in (("here", database), ("there", second))
        )
    )
    assert len([lease for lease in asked if lease is not None]) == 1


async def test_an_expired_lease_is_taken_over(database: Database, second: Database) -> None:
    first = await take(database, "first")
    await expire(database)
    assert await held_by(database) is None
    lease = await take(second, "second")
    assert lease.fence > first.fence
    assert await held_by(database) == "second"


async def test_a_former_holder_cannot_write(database: Database, second: Database) -> None:
    first = await take(database, "first")
    await expire(database)
    lease = await take(second, "second")
    with pytest.raises(LeaseLost, match="work"):
        await queue(first)
    with pytest.raises(LeaseLost):
        await first.renew()
    with pytest.raises(LeaseLost):
        await first.release()
    assert await written(database) == 0
    assert await held_by(database) == "second"
    await queue(lease)
    assert await written(database) == 1


async def test_a_late_holder_keeps_a_lease_that_was_not_taken_over(database: Database) -> None:
    lease = await take(database, "first")
    await expire(database)
    await queue(lease)
    assert await written(database) == 1
    assert await held_by(database) == "first"


async def test_a_lease_is_not_taken_over_during_a_transaction(
    database: Database, impatient: Database
) -> None:
    lease = await take(database, "first")
    await expire(database)
    async with lease.session() as session:
        with pytest.raises(DatabaseError, match="locked"):
            await acquire(impatient, NAME, "second", HOUR)
        await IterationRepository(session).add(NewIteration("micro", PRESETS["micro"]))
    assert await written(database) == 1
    assert await acquire(impatient, NAME, "second", HOUR) is None


async def test_a_takeover_that_waited_for_a_transaction_finds_the_lease_renewed(
    database: Database, second: Database
) -> None:
    lease = await take(database, "first")
    await expire(database)
    async with lease.session():
        waiting = asyncio.create_task(acquire(second, NAME, "second", HOUR))
        await asyncio.sleep(0.05)
        assert not waiting.done()
    assert await waiting is None


async def test_a_failed_transaction_leaves_the_lease_as_it_was(database: Database) -> None:
    lease = await take(database, "first")
    await expire(database)

    async def write_and_fail() -> None:
        async with lease.session() as session:
            await IterationRepository(session).add(NewIteration("micro", PRESETS["micro"]))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await write_and_fail()
    assert await written(database) == 0
    assert await held_by(database) is None


async def test_a_released_lease_is_free_at_once(database: Database, second: Database) -> None:
    await (await take(database, "first")).release()
    assert await held_by(database) is None
    await take(second, "second")


async def test_reacquiring_a_lease_fences_off_the_earlier_holder(
    database: Database,
) -> None:
    old = await take(database, "first")
    new = await take(database, "first")
    await new.renew()
    with pytest.raises(LeaseLost):
        await old.renew()

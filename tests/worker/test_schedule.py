"""Iterations that start by themselves."""

from datetime import UTC, datetime, timedelta

import pytest

from app.db.iterations import IterationRepository, StoredIteration
from app.db.session import Database
from app.errors import DatabaseError
from worker.loop import Schedule

HOURLY = "0 * * * *"


class Clock:
    """A clock that the test sets."""

    def __init__(self) -> None:
        self.now = datetime(2030, 1, 1, 12, 30, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **time: float) -> None:
        self.now += timedelta(**time)


async def queued(database: Database) -> list[StoredIteration]:
    async with database.session() as session:
        return (await IterationRepository(session).page(100))[0]


async def test_an_iteration_is_queued_once_at_each_time(database: Database) -> None:
    clock = Clock()
    schedule = Schedule(HOURLY, "micro", clock)
    await schedule.queue_if_due(database)
    assert await queued(database) == []
    clock.forward(minutes=30)
    for _ in range(3):
        await schedule.queue_if_due(database)
    assert [one.preset for one in await queued(database)] == ["micro"]
    clock.forward(hours=1)
    await schedule.queue_if_due(database)
    assert len(await queued(database)) == 2


async def test_times_that_were_missed_count_once(database: Database) -> None:
    clock = Clock()
    schedule = Schedule(HOURLY, "micro", clock)
    clock.forward(hours=10)
    await schedule.queue_if_due(database)
    assert len(await queued(database)) == 1


async def test_two_workers_queue_one_iteration(database: Database) -> None:
    clock = Clock()
    first = Schedule(HOURLY, "micro", clock)
    clock.forward(minutes=10)
    second = Schedule(HOURLY, "micro", clock)
    clock.forward(minutes=30)
    await first.queue_if_due(database)
    await second.queue_if_due(database)
    assert len(await queued(database)) == 1


async def test_failed_queueing_stays_due(database: Database, impatient: Database) -> None:
    clock = Clock()
    schedule = Schedule(HOURLY, "micro", clock)
    clock.forward(hours=1)
    async with database.session() as session:
        await IterationRepository(session).request_cancel("any")  # Holds the lock for writing.
        with pytest.raises(DatabaseError):
            await schedule.queue_if_due(impatient)
    await schedule.queue_if_due(impatient)
    assert len(await queued(database)) == 1


async def test_times_are_those_of_utc(database: Database) -> None:
    clock = Clock()
    schedule = Schedule("0 13 * * *", "micro", clock)
    clock.forward(minutes=29)
    await schedule.queue_if_due(database)
    assert await queued(database) == []
    clock.forward(minutes=1)
    await schedule.queue_if_due(database)
    assert len(await queued(database)) == 1

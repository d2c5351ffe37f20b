"""The loop runs queued iterations one at a time, and records the outcome of each."""

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import update

from app.db.iterations import IterationRepository, NewIteration, SampleRepository, StoredIteration
from app.db.leases import Lease, acquire
from app.db.session import Database
from app.db.tables import LeaseRow
from app.domain.checkpoint import Versions
from app.domain.iteration import PRESETS, Stage, Status
from app.errors import DatabaseError, EngineError, LeaseLost
from tests.helpers.databases import on_both
from worker import loop
from worker.loop import LEASE, Loop

HOUR = 3600.0
pytestmark = on_both
SECONDS_UNTIL_STUCK = 20


class Runs:
    """Runs iterations by a function of the test; records the ids of the started and cancelled."""

    def __init__(self, run: Callable[[StoredIteration, Lease], Awaitable[None]]) -> None:
        self.begun: list[str] = []
        self.cancelled: list[str] = []
        self._run = run

    async def __call__(self, iteration: StoredIteration, _: Versions, lease: Lease) -> None:
        self.begun.append(iteration.id)
        try:
            await self._run(iteration, lease)
        except asyncio.CancelledError:
            self.cancelled.append(iteration.id)
            raise


async def at_once(iteration: StoredIteration, lease: Lease) -> None:
    """An iteration without work."""


async def endlessly(iteration: StoredIteration, lease: Lease) -> None:
    """An iteration that never ends by itself."""
    await asyncio.sleep(HOUR)


def failing(error: Exception) -> Runs:
    async def fail(iteration: StoredIteration, lease: Lease) -> None:
        raise error

    return Runs(fail)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """QuickVerdict every few milliseconds."""
    monkeypatch.setattr(loop, "POLL_SECONDS", 0.005)


@asynccontextmanager
async def working(
    database: Database, runs: Runs, owner: str = "first", lease_seconds: float = HOUR
) -> AsyncIterator[asyncio.Task[None]]:
    """A worker at work."""
    worker = Loop(database, runs, owner=owner, lease_seconds=lease_seconds)
    task = asyncio.create_task(worker.work())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task})


async def queue(database: Database) -> str:
    async with database.session() as session:
        return await IterationRepository(session).add(NewIteration("micro", PRESETS["micro"]))


async def get(database: Database, iteration_id: str) -> StoredIteration:
    async with database.session() as session:
        found = await IterationRepository(session).get(iteration_id)
    assert found is not None
    return found


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(SECONDS_UNTIL_STUCK):
        while not await condition():  # noqa: ASYNC110 - what is waited for is in the database
            await asyncio.sleep(0.005)


async def until_status(database: Database, iteration_id: str, *statuses: Status) -> StoredIteration:
    async def reached() -> bool:
        return (await get(database, iteration_id)).status in statuses

    await until(reached)
    return await get(database, iteration_id)


async def ended(database: Database, runs: Runs) -> StoredIteration:
    """A queued iteration, after such runs."""
    one = await queue(database)
    async with working(database, runs):
        return await until_status(database, one, Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


async def test_queued_iterations_run_oldest_first(database: Database) -> None:
    ids = sorted([await queue(database) for _ in range(3)])
    runs = Runs(at_once)
    async with working(database, runs):
        for one in ids:
            await until_status(database, one, Status.SUCCEEDED)
        later = await queue(database)
        await until_status(database, later, Status.SUCCEEDED)
    assert runs.begun == [*ids, later]


async def test_spar_error_fails_the_iteration_with_its_message(database: Database) -> None:
    found = await ended(database, failing(EngineError("the model is gone")))
    assert (found.status, found.error) == (Status.FAILED, "the model is gone")


async def test_a_full_disk_fails_the_iteration_with_the_file(database: Database) -> None:
    error = OSError(errno.ENOSPC, "No space left on device", "data/x.jsonl")
    found = await ended(database, failing(error))
    assert (found.status, found.error) == (Status.FAILED, "data/x.jsonl: No space left on device")


@pytest.mark.parametrize("error", [ZeroDivisionError("division by zero"), TimeoutError("late")])
async def test_unexpected_error_fails_the_iteration_and_is_logged(
    database: Database, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    found = await ended(database, failing(error))
    words = f"unexpected error: {type(error).__name__}: {error}"
    assert (found.status, found.error) == (Status.FAILED, words)
    assert any(record.exc_info and record.exc_info[1] is error for record in caplog.records)


async def test_the_next_one_runs_after_a_failure(database: Database) -> None:
    first, second = sorted([await queue(database) for _ in range(2)])

    async def fail_once(iteration: StoredIteration, lease: Lease) -> None:
        if iteration.id == first:
            raise ZeroDivisionError

    async with working(database, Runs(fail_once)):
        await until_status(database, second, Status.SUCCEEDED)
    assert (await get(database, first)).status is Status.FAILED


async def test_temporary_database_error_is_retried(database: Database) -> None:
    one = await queue(database)
    runs = Runs(at_once)

    async def run(iteration: StoredIteration, lease: Lease) -> None:
        if len(runs.begun) < 3:
            raise DatabaseError("locked", retry_after=1)

    runs = Runs(run)
    async with working(database, runs):
        found = await until_status(database, one, Status.SUCCEEDED, Status.FAILED)
    assert (found.status, runs.begun) == (Status.SUCCEEDED, [one] * 3)


async def test_permanent_database_error_fails_the_iteration(database: Database) -> None:
    runs = failing(DatabaseError("there is no such table"))
    found = await ended(database, runs)
    assert (found.status, found.error) == (Status.FAILED, "there is no such table")


async def test_cancelled_iteration_resumes_where_it_stopped(database: Database) -> None:
    one = await queue(database)
    stuck = asyncio.Event()

    async def run(iteration: StoredIteration, lease: Lease) -> None:
        async with lease.session() as session:
            samples = SampleRepository(session, iteration.id)
            done = len(await samples.items(Stage.RESPOND))
            await samples.add_item(Stage.RESPOND, str(done), None)
        if done == 0:
            stuck.set()
            await asyncio.sleep(HOUR)

    runs = Runs(run)
    async with working(database, runs):
        await stuck.wait()
        async with database.session() as session:
            assert await IterationRepository(session).request_cancel(one)
        found = await until_status(database, one, Status.CANCELLED)
        assert found.error is None
        assert runs.cancelled == [one]
        async with database.session() as session:
            assert await IterationRepository(session).resume(one)
        await until_status(database, one, Status.SUCCEEDED)
    async with database.session() as session:
        assert await SampleRepository(session, one).items(Stage.RESPOND) == {"0": None, "1": None}


async def test_lost_lease_stops_the_worker_without_writes(database: Database) -> None:
    one = await queue(database)
    runs = Runs(endlessly)
    async with working(database, runs, lease_seconds=0.04) as worker:
        await until_status(database, one, Status.RUNNING)
        await take_over(database)

        async def stopped() -> bool:
            return runs.cancelled == [one]

        await until(stopped)
        await asyncio.sleep(0.05)
        assert not worker.done()
        assert runs.begun == [one]
    assert (await get(database, one)).status is Status.RUNNING


async def take_over(database: Database) -> None:
    """Another worker has the lease from now on."""
    async with database.session() as session:
        await session.execute(
            update(LeaseRow)
            .values(fence=LeaseRow.fence + 1, owner="other")
            .returning(LeaseRow.fence)
        )
    assert await acquire(database, LEASE, "other", HOUR) is not None


async def test_an_iteration_whose_worker_lost_the_lease_is_not_failed(database: Database) -> None:
    one = await queue(database)
    ended = asyncio.Event()

    async def run(iteration: StoredIteration, lease: Lease) -> None:
        try:
            await take_over(database)
            await lease.renew()
        finally:
            ended.set()

    async with working(database, Runs(run)):
        await ended.wait()
        await asyncio.sleep(0.05)
    found = await get(database, one)
    assert (found.status, found.error) == (Status.RUNNING, None)


async def test_another_worker_takes_over_after_lease_expiry(database: Database) -> None:
    one = await queue(database)
    # The first was killed: it holds the lease for a moment longer, and its iteration runs.
    first = await acquire(database, LEASE, "killed", 0.1)
    assert first is not None
    async with first.session() as session:
        await IterationRepository(session).start(one, Versions(4, 5))
    runs = Runs(at_once)
    async with working(database, runs, "second"):
        found = await until_status(database, one, Status.SUCCEEDED)
    assert runs.begun == [one]
    assert found.incumbents == Versions(4, 5)
    with pytest.raises(LeaseLost):
        await first.renew()


async def test_stopped_worker_releases_the_lease(
    database: Database,
) -> None:
    one = await queue(database)
    async with working(database, Runs(endlessly)):
        await until_status(database, one, Status.RUNNING)
    assert (await get(database, one)).status is Status.RUNNING
    async with working(database, Runs(at_once), "second"):
        await until_status(database, one, Status.SUCCEEDED)


async def test_two_workers_run_an_iteration_once(database: Database) -> None:
    one = await queue(database)
    runs = Runs(at_once)
    async with working(database, runs), working(database, runs, "second"):
        await until_status(database, one, Status.SUCCEEDED)
        await asyncio.sleep(0.05)
    assert runs.begun == [one]

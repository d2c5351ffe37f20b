"""An iteration that is held in a phase, over the real admin endpoint; the test is its worker."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from app.db.checkpoints import CheckpointRepository
from app.db.iterations import IterationRepository, SampleRepository
from app.db.recorder import Recorder
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.domain.iteration import IterationKind, Stage, Status
from benchmarks.held import HeldIteration
from benchmarks.phases import TRAINED, Phase
from tests.helpers.endpoint import admin_door

POLL = 0.01
Play = Callable[[IterationRepository, SampleRepository, str], Awaitable[None]]


@pytest.fixture
async def database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """The test's own database."""
    opened = Database(f"sqlite+aiosqlite:///{shutil.copy(migrated_file, tmp_path / 'test.db')}")
    async with opened.session() as session:
        await CheckpointRepository(session).ensure_base_checkpoints("base")
    yield opened
    await opened.close()


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the admin endpoint."""
    transport = httpx.ASGITransport(admin_door(database, Recorder(database)))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


class Worker:
    """Works on whatever is queued as the test says, until it is cancelled."""

    def __init__(self, database: Database, play: Play) -> None:
        self._database = database
        self._play = play
        self._task = asyncio.create_task(self._work())

    async def end(self) -> None:
        """Stop working."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            async with self._database.session() as session:
                iterations = IterationRepository(session)
                found = await iterations.next_to_run()
                if found is not None and found.status is Status.QUEUED:
                    await iterations.start(found.id, Versions())
                    await self._play(iterations, SampleRepository(session, found.id), found.id)
                elif found is not None and found.cancel_requested:
                    await iterations.finish(found.id, Status.CANCELLED)
            await asyncio.sleep(POLL)


def reach(stage: Stage) -> Play:
    """Go straight to a stage; of a training, report the first step again each time."""
    seconds = iter(range(1, 1000))

    async def play(iterations: IterationRepository, samples: SampleRepository, id_: str) -> None:
        await iterations.start_stage(id_, stage)
        if stage is Stage.TRAIN:
            await samples.record_step(TRAINED, 1, {"elapsed": next(seconds)})

    return play


def held(client: httpx.AsyncClient, phase: Phase) -> HeldIteration:
    """An iteration that needs no time to settle."""
    return HeldIteration(client, phase, settle_seconds=0, poll_seconds=POLL)


@pytest.mark.parametrize("phase", Phase)
async def test_one_iteration_goes_on_and_stands_still_as_often_as_one_likes(
    phase: Phase, client: httpx.AsyncClient, database: Database
) -> None:
    worker = Worker(database, reach(phase.stage))
    iteration = held(client, phase)
    seen = []
    for _ in range(3):
        async with iteration.going_on():
            seen += await listed(client)
        seen += await listed(client)
    await worker.end()

    assert [status for _, status in seen] == ["running", "cancelled"] * 3
    assert len({identifier for identifier, _ in seen}) == 1
    prompts = (await client.get("/admin/prompts")).json()
    assert prompts["counts"]["imported"] == 600


async def test_a_training_that_is_taken_up_again_counts_from_its_first_new_step(
    client: httpx.AsyncClient, database: Database
) -> None:
    steps = iter([1, None])

    async def once(iterations: IterationRepository, samples: SampleRepository, id_: str) -> None:
        await iterations.start_stage(id_, Stage.TRAIN)
        if (elapsed := next(steps)) is not None:
            await samples.record_step(TRAINED, 1, {"elapsed": elapsed})

    worker = Worker(database, once)
    iteration = held(client, Phase.TRAIN)
    async with iteration.going_on():
        pass
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3), iteration.going_on():
            pytest.fail("no step was made")
    await worker.end()


async def test_a_phase_that_is_over_too_early_is_no_measurement(
    client: httpx.AsyncClient, database: Database
) -> None:
    async def measure() -> None:
        async with held(client, Phase.RESPOND).going_on():
            ((identifier, _),) = await listed(client)
            async with database.session() as session:
                await IterationRepository(session).finish_stage(identifier, Stage.RESPOND, {})

    worker = Worker(database, reach(Stage.RESPOND))
    with pytest.raises(RuntimeError, match="respond was over too early"):
        await measure()
    await worker.end()


async def test_an_iteration_that_fails_says_why(
    client: httpx.AsyncClient, database: Database
) -> None:
    async def fail(iterations: IterationRepository, _: SampleRepository, id_: str) -> None:
        await iterations.finish(id_, Status.FAILED, error="the disk is full")

    worker = Worker(database, fail)
    with pytest.raises(RuntimeError, match="failed: the disk is full"):
        async with held(client, Phase.JUDGE).going_on():
            pytest.fail("it never was in the phase")
    await worker.end()


async def test_a_training_is_a_bootstrap(client: httpx.AsyncClient, database: Database) -> None:
    worker = Worker(database, reach(Stage.TRAIN))
    async with held(client, Phase.TRAIN).going_on():
        (iteration,) = (await client.get("/admin/iterations")).json()["iterations"]
    await worker.end()
    assert iteration["kind"] == IterationKind.BOOTSTRAP


async def listed(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    """Id and status of every iteration."""
    found = (await client.get("/admin/iterations")).json()["iterations"]
    return [(one["id"], one["status"]) for one in found]

"""A worker continues its iteration after its database was unavailable."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.db import leases
from app.db.iterations import StoredIteration
from app.db.leases import Lease
from app.db.session import Database
from app.domain.checkpoint import Role, Versions
from app.domain.iteration import Status
from app.engine.base import Call
from tests.helpers.iterating import OPTIONS, World, by_content
from tests.helpers.postgres import PostgresServer
from tests.helpers.scripted_engine import ScriptedEngine
from tests.helpers.scripts import verdict_of_critique
from worker import loop
from worker.loop import Loop

SECONDS_UNTIL_STUCK = 60


@pytest.fixture
async def database(own_url: str) -> AsyncIterator[Database]:
    """A database on the server that the test may stop."""
    opened = Database(own_url)
    yield opened
    await opened.close()


@pytest.mark.parametrize("call", [3, 30])
async def test_database_restart_during_an_iteration_loses_nothing(
    database: Database,
    own_postgres: PostgresServer,
    tmp_path: Path,
    base: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: int,
) -> None:
    monkeypatch.setattr(loop, "POLL_SECONDS", 0.02)
    monkeypatch.setattr(leases, "RETRY_SECONDS", 0.02)
    calls = 0

    async def say(asked: Call) -> str:
        nonlocal calls
        calls += 1
        if calls == call:
            await asyncio.to_thread(own_postgres.stop)
            back.append(asyncio.create_task(come_back()))
        return await by_content(asked)

    async def come_back() -> None:
        await asyncio.sleep(0.2)
        await asyncio.to_thread(own_postgres.start)

    async def run(iteration: StoredIteration, _: Versions, lease: Lease) -> None:
        runs[iteration.id] += 1
        await world.run(iteration.id, lease)

    back: list[asyncio.Task[None]] = []
    runs: Counter[str] = Counter()
    world = World(database, tmp_path / "data", base, ScriptedEngine(say, verdict_of_critique))
    one = await world.queue(OPTIONS)
    worker = asyncio.create_task(Loop(database, run, owner="first", lease_seconds=5).work())
    try:
        async with asyncio.timeout(SECONDS_UNTIL_STUCK):
            while not back:  # noqa: ASYNC110 - the engine says it, in its own time
                await asyncio.sleep(0.02)
            await back[0]
            while (await world.iteration(one)).finished_at is None:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
    finally:
        worker.cancel()
        await asyncio.wait({worker})
    found = await world.iteration(one)
    assert (found.status, found.error) == (Status.SUCCEEDED, None)
    assert len(world.trainer.trained) == len(Role)

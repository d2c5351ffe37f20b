"""The complete server; its engine sleeps while a trainer holds the lease."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.db.leases import TRAINING, Lease, acquire
from app.db.session import Database
from app.domain.checkpoint import Role, Versions
from app.engine.base import Call
from app.errors import EngineUnavailable
from tests.helpers.swapping import SECONDS_UNTIL_STUCK, LoadingEngine, World, until
from tests.helpers.whole import client_of, whole_server

HOUR = 3600.0
QUESTION: dict[str, Any] = {"prompt": "Name a river.", "mode": "greedy"}

Start = Callable[..., Awaitable[tuple[FastAPI, httpx.AsyncClient]]]


@pytest.fixture
async def database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """The server's database, as its worker opens it."""
    file = shutil.copy(migrated_file, tmp_path / "spar.db")
    opened = Database(f"sqlite+aiosqlite:///{file}")
    yield opened
    await opened.close()


@pytest.fixture
async def start(
    database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Start]:
    """Starts a server that sleeps while training."""
    async with AsyncExitStack() as stack:

        async def started(**settings: Any) -> tuple[FastAPI, httpx.AsyncClient]:
            wanted = {"sleep_while_training": True, **settings}
            server = whole_server(monkeypatch, tmp_path, tmp_path / "spar.db", **wanted)
            app = await stack.enter_async_context(server)
            return app, await stack.enter_async_context(client_of(app))

        yield started


async def take(database: Database, seconds: float = HOUR) -> Lease:
    lease = await acquire(database, TRAINING, "the test", seconds)
    assert lease is not None
    return lease


def engine_of(app: FastAPI) -> LoadingEngine:
    engine = app.state.services.engine
    assert isinstance(engine, LoadingEngine)
    return engine


async def test_it_sleeps_while_the_lease_is_held_and_reports_it(
    start: Start, database: Database
) -> None:
    app, client = await start()
    lease = await take(database)
    await until(lambda: engine_of(app).asleep)

    chat = {"model": "actor", "messages": [{"role": "user", "content": "hello"}]}
    judgment = {"prompt": "Name a river.", "response": "Rhine"}
    background = {**chat, "priority": 100}
    asked = [("/generate", QUESTION), ("/judge", judgment)]
    asked += [("/v1/chat/completions", body) for body in (chat, background)]
    answers = [await client.post(path, json=body) for path, body in asked]
    for answer in [*answers, await client.get("/readyz")]:
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert "sleeps while a training" in answer.json()["message"]
    health = (await client.get("/healthz")).json()
    assert (health["engine_asleep"], health["engine_ready"]) == (True, False)
    assert "\nspar_engine_asleep 1.0" in (await client.get("/metrics")).text
    await until_told(client, "asleep while a training has the GPU")

    await lease.release()
    await until(lambda: not engine_of(app).asleep)
    assert (await client.post("/generate", json=QUESTION)).status_code == 200
    assert "\nspar_engine_asleep 0.0" in (await client.get("/metrics")).text
    await until_told(client, None)


async def until_told(client: httpx.AsyncClient, error: str | None) -> None:
    """Wait until `/admin/serving` reports this."""
    async with asyncio.timeout(SECONDS_UNTIL_STUCK):
        while True:
            [server] = (await client.get("/admin/serving")).json()["servers"]
            if server["error"] == error:
                return
            await asyncio.sleep(0.01)


async def test_it_wakes_when_the_lease_expires(start: Start, database: Database) -> None:
    app, client = await start()
    await take(database, seconds=1)
    await until(lambda: engine_of(app).asleep)
    await until(lambda: not engine_of(app).asleep)
    assert (await client.post("/generate", json=QUESTION)).status_code == 200


async def test_running_calls_finish_and_new_ones_are_rejected_at_once(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, client = await start()
    begun, finish = asyncio.Event(), asyncio.Event()

    async def slowly(_: Call) -> str:
        begun.set()
        await finish.wait()
        return "the Rhine"

    monkeypatch.setattr(engine_of(app), "_script", slowly)
    first = asyncio.create_task(client.post("/generate", json=QUESTION))
    await begun.wait()
    await take(database)
    await until(lambda: app.state.services.admission.drain_barrier.closed)
    assert (await client.post("/generate", json=QUESTION)).status_code == 503
    assert not engine_of(app).asleep
    finish.set()
    assert (await first).json()["response"] == "the Rhine"
    await until(lambda: engine_of(app).asleep)


async def test_calls_beyond_the_drain_timeout_are_aborted_with_the_reason(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, client = await start(drain_seconds=0.05)
    begun = asyncio.Event()

    async def endlessly(_: Call) -> str:
        begun.set()
        await asyncio.sleep(HOUR)
        return "never"

    monkeypatch.setattr(engine_of(app), "_script", endlessly)
    asked = asyncio.create_task(client.post("/generate", json=QUESTION))
    await begun.wait()
    await take(database)
    answer = await asked
    assert answer.status_code == 503
    assert "sleeps while a training" in answer.json()["message"]
    await until(lambda: engine_of(app).asleep)


async def test_a_promotion_waits_until_it_is_awake(
    start: Start, database: Database, tmp_path: Path
) -> None:
    app, client = await start()
    await World(database, tmp_path / "data", tmp_path / "base").add(Role.ACTOR, 1)
    lease = await take(database)
    await until(lambda: engine_of(app).asleep)
    assert (await client.post("/admin/checkpoints/actor/1/promote")).status_code == 200
    await until_told(client, "asleep while a training has the GPU")
    assert engine_of(app).loads == []
    await lease.release()
    await until(lambda: app.state.services.registry.versions == Versions(1, 0))


async def test_an_engine_that_died_asleep_sleeps_again(start: Start, database: Database) -> None:
    app, _ = await start()
    await take(database)
    engine = engine_of(app)
    await until(lambda: engine.asleep)
    slept = engine.sleeps
    await engine.wake_up()  # a restarted engine is awake
    await until(lambda: engine.asleep and engine.sleeps > slept)


async def test_an_engine_that_cannot_sleep_serves_on(
    start: Start, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, client = await start()

    async def fail() -> None:
        engine_of(app).sleeps += 1
        raise EngineUnavailable("the engine died")

    monkeypatch.setattr(engine_of(app), "sleep", fail)
    lease = await take(database)
    await until(lambda: engine_of(app).sleeps)
    await lease.release()
    await until(lambda: not app.state.services.admission.drain_barrier.closed)
    assert (await client.post("/generate", json=QUESTION)).status_code == 200


async def test_without_the_setting_a_training_changes_nothing(
    start: Start, database: Database
) -> None:
    app, client = await start(sleep_while_training=False)
    await take(database)
    for _ in range(5):
        assert (await client.post("/generate", json=QUESTION)).status_code == 200
        await asyncio.sleep(0.03)
    assert not engine_of(app).sleeps

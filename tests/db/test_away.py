"""Outages of the database: nothing is lost, and callers get a `DatabaseError`."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from sqlalchemy import func, select

from app.db import leases
from app.db.iterations import IterationRepository, NewIteration, SampleRepository
from app.db.leases import acquire
from app.db.recorder import Recorder
from app.db.searches import SearchRepository
from app.db.session import Database
from app.db.tables import NodeRow, SearchRow
from app.db.upgrade import upgrade
from app.domain.iteration import PRESETS, Stage
from app.errors import DatabaseError
from tests.db.building import search_id, searched
from tests.helpers.endpoint import admin_door
from tests.helpers.postgres import PostgresServer, postgres_server, standby_of

SOON = [0.02] * 1000
NODES = 4


@pytest.fixture
async def database(own_url: str) -> AsyncIterator[Database]:
    """A database on the server that the test may stop."""
    opened = Database(own_url)
    yield opened
    await opened.close()


async def stored(database: Database) -> tuple[list[str], int]:
    """The stored searches, and how many nodes they have together."""
    async with database.session() as session:
        ids = await session.scalars(select(SearchRow.id).order_by(SearchRow.id))
        return list(ids), await session.scalar(select(func.count()).select_from(NodeRow)) or 0


async def test_a_restart_in_the_middle_of_recording_loses_nothing(
    database: Database, own_postgres: PostgresServer
) -> None:
    recorder = Recorder(database, retry_delays=SOON)
    for number in range(60):
        recorder.submit(searched(search_id(number)))
        await asyncio.sleep(0.002)
        if number == 20:
            await asyncio.to_thread(own_postgres.stop)
        if number == 40:
            with pytest.raises(DatabaseError) as caught:
                await recorder.wait_for(search_id(40))
            assert caught.value.retry_after == 1
            await asyncio.to_thread(own_postgres.start)
    await recorder.close(60)
    assert recorder.lost == 0
    assert await stored(database) == ([search_id(number) for number in range(60)], 60 * NODES)


async def test_a_failover_in_the_middle_of_recording_loses_nothing() -> None:
    with postgres_server() as primary, standby_of(primary) as standby:
        hosts = f"{primary.folder},{standby.folder}"
        url = f"postgresql://spar@/postgres?host={hosts}&target_session_attrs=read-write"
        await asyncio.to_thread(upgrade, url)
        database = Database(url)
        recorder = Recorder(database, retry_delays=SOON)
        for number in range(60):
            recorder.submit(searched(search_id(number)))
            await asyncio.sleep(0.002)
            if number == 20:
                await asyncio.to_thread(primary.stop)
            if number == 40:
                with pytest.raises(DatabaseError) as caught:
                    await recorder.wait_for(search_id(40))
                assert caught.value.retry_after == 1
                standby.execute("SELECT pg_promote()")
        await recorder.close(60)
        assert recorder.lost == 0
        assert await stored(database) == ([search_id(n) for n in range(60)], 60 * NODES)
        await database.close()


async def test_connections_cut_in_the_middle_of_recording_lose_nothing(
    database: Database, own_postgres: PostgresServer
) -> None:
    recorder = Recorder(database, retry_delays=SOON)
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'spar'"
    for number in range(60):
        recorder.submit(searched(search_id(number)))
        await asyncio.sleep(0.002)
        if number % 10 == 5:
            own_postgres.execute(cut)
    await recorder.close(60)
    assert recorder.lost == 0
    assert await stored(database) == ([search_id(number) for number in range(60)], 60 * NODES)


async def test_an_unavailable_database_is_a_retryable_error(
    database: Database, own_postgres: PostgresServer
) -> None:
    async with database.session() as session:
        await SearchRepository(session).add(searched(search_id(1)))
    await asyncio.to_thread(own_postgres.stop)
    with pytest.raises(DatabaseError) as caught:
        await stored(database)
    assert (caught.value.status, caught.value.retry_after) == (503, 1)
    await asyncio.to_thread(own_postgres.start)
    assert (await stored(database))[0] == [search_id(1)]


async def test_an_items_result_is_written_when_the_database_is_back(
    database: Database, own_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "RETRY_SECONDS", 0.02)
    lease = await acquire(database, "work", "first", 60)
    assert lease is not None
    async with database.session() as session:
        iteration = await IterationRepository(session).add(NewIteration("micro", PRESETS["micro"]))
    await asyncio.to_thread(own_postgres.stop)
    writing = asyncio.create_task(
        lease.write(
            lambda session: SampleRepository(session, iteration).add_item(Stage.RESPOND, "0", 1)
        )
    )
    await asyncio.sleep(0.1)
    assert not writing.done()
    await asyncio.to_thread(own_postgres.start)
    await writing
    async with database.session() as session:
        assert await SampleRepository(session, iteration).items(Stage.RESPOND) == {"0": 1}


async def test_a_request_that_needs_the_database_is_refused_cleanly(
    database: Database, own_postgres: PostgresServer
) -> None:
    recorder = Recorder(database, retry_delays=SOON)
    transport = httpx.ASGITransport(admin_door(database, recorder))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        await asyncio.to_thread(own_postgres.stop)
        recorder.submit(searched(search_id(1)))
        for path in ("/searches", f"/searches/{search_id(1)}", "/admin/iterations"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["title"] == "The database is not available"
        await asyncio.to_thread(own_postgres.start)
        await recorder.close(60)
        assert (await client.get(f"/searches/{search_id(1)}")).status_code == 200

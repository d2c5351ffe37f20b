"""The reports of servers."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from app.db.checkpoints import EXPIRES_AFTER, ServerRepository, ServerState
from app.db.session import Database
from app.domain.checkpoint import Versions

NOW = datetime.now(UTC)


def state(server: str, seen_at: datetime = NOW) -> ServerState:
    return ServerState(
        server, "http://here", Versions(1, 2), True, None, NOW - timedelta(hours=1), seen_at
    )


async def report(database: Database, *states: ServerState) -> None:
    for one in states:
        async with database.session() as session:
            await ServerRepository(session).report(one)


async def seen(database: Database, moment: datetime) -> list[ServerState]:
    async with database.session() as session:
        return await ServerRepository(session).seen_since(moment)


async def test_a_server_has_one_state_the_newest(database: Database) -> None:
    newer = replace(state("a"), versions=Versions(3, 2), ready=False, error="no such file")
    await report(database, state("a"), state("b"), newer)
    assert await seen(database, NOW - timedelta(minutes=1)) == [newer, state("b")]


async def test_only_servers_that_reported_recently_are_listed(database: Database) -> None:
    await report(database, state("a", NOW - timedelta(minutes=2)), state("b"))
    assert await seen(database, NOW - timedelta(minutes=1)) == [state("b")]


async def test_stopped_and_silent_servers_are_deleted(database: Database) -> None:
    silent = state("c", NOW - EXPIRES_AFTER - timedelta(minutes=1))
    await report(database, silent, state("a"), state("b"))
    async with database.session() as session:
        await ServerRepository(session).remove("a")
    assert await seen(database, NOW - 2 * EXPIRES_AFTER) == [state("b")]

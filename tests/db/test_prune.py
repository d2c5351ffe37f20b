"""Old searches are deleted unless other rows refer to them."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select
from ulid import ULID

from app.db.iterations import IterationRepository, NewIteration, Sample, SampleRepository
from app.db.prompts import Feedback, FeedbackRepository
from app.db.prune import Old, count, prune
from app.db.searches import SearchRepository
from app.db.session import Database
from app.db.tables import FeedbackRow, NodeRow, SearchRow, VoteRow
from app.domain.checkpoint import Role, Versions
from app.domain.iteration import PRESETS, SampleKind
from tests.db.building import fruitless, searched

NOW = datetime(2026, 6, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
OLD = Old(NOW - MONTH)


def aged(days: float) -> str:
    """The id of a search that began this many days ago."""
    return str(ULID.from_datetime(NOW - timedelta(days=days)))


async def add(database: Database, *ids: str) -> None:
    async with database.session() as session:
        for one in ids:
            await SearchRepository(session).add(searched(one))


async def rows(database: Database, table: type) -> int:
    async with database.session() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def left(database: Database) -> set[str]:
    async with database.session() as session:
        return set(await session.scalars(select(SearchRow.id)))


async def forget(database: Database, old: Old = OLD, batch: int = 500) -> list[int]:
    return [gone async for gone in prune(database, old, batch)]


async def test_old_searches_are_deleted_with_their_trees(database: Database) -> None:
    young = [aged(days) for days in (0, 12, 29.999)]
    await add(database, *young)
    kept = {table: await rows(database, table) for table in (NodeRow, VoteRow)}
    await add(database, *(aged(days) for days in (30.001, 31, 900)))
    assert await count(database, OLD) == 3
    assert await forget(database) == [3]
    assert await left(database) == set(young)
    assert {table: await rows(database, table) for table in (NodeRow, VoteRow)} == kept
    assert await forget(database) == []


async def test_pruning_commits_in_batches(
    database: Database,
) -> None:
    await add(database, *(aged(40 + number) for number in range(7)))
    async with aclosing(prune(database, OLD, 3)) as batches:
        assert await anext(batches) == 3
    assert len(await left(database)) == 4
    assert await forget(database, batch=3) == [3, 1]


async def test_searches_with_feedback_or_samples_are_kept(database: Database) -> None:
    rated, learned, other = aged(50), aged(51), aged(52)
    await add(database, rated, learned, other)
    async with database.session() as session:
        await FeedbackRepository(session).add(Feedback(rated, rating=1))
        iteration = await IterationRepository(session).add(NewIteration("micro", PRESETS["micro"]))
    async with database.session() as session:
        sample = Sample(
            Role.REFINER, SampleKind.REPAIR, {}, Versions(), search_id=learned, node_id=3
        )
        await SampleRepository(session, iteration).replace_samples(Role.REFINER, [sample])
    assert await count(database, OLD) == 1
    assert await forget(database, batch=1) == [1]
    assert await left(database) == {rated, learned}


async def test_accepted_answers_may_be_kept(database: Database) -> None:
    accepted, nothing = aged(50), aged(51)
    await add(database, accepted)
    async with database.session() as session:
        await SearchRepository(session).add(fruitless(nothing))
    assert await forget(database, Old(OLD.before, keep_accepted=True)) == [1]
    assert await left(database) == {accepted}


async def test_concurrent_feedback_is_not_lost(database: Database) -> None:
    ids = [aged(40 + number) for number in range(20)]
    await add(database, *ids)

    async def rate(search: str) -> bool:
        async with database.session() as session:
            return await FeedbackRepository(session).add(Feedback(search, rating=1)) is not None

    *rated, _ = await asyncio.gather(
        *(rate(one) for one in ids), forget(database, batch=1), return_exceptions=True
    )
    kept = [one for one, done in zip(ids, rated, strict=True) if done is True]
    assert await left(database) == set(kept)
    assert await rows(database, FeedbackRow) == len(kept)


@pytest.mark.parametrize("days", [10**6, 0])
async def test_any_time_is_a_valid_limit(database: Database, days: int) -> None:
    moment = max(NOW - timedelta(days=min(days, 700_000)), datetime.min.replace(tzinfo=UTC))
    assert await forget(database, Old(moment)) == []

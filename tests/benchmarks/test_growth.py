"""A database is filled with searches like real ones, and everything in it can be timed."""

from pathlib import Path

import pytest
from sqlalchemy import func, select

from app.db.searches import SearchRepository
from app.db.session import Database
from app.db.tables import (
    CheckpointRow,
    EvaluatedItemRow,
    NodeRow,
    PromptRow,
    SampleRow,
    SearchRow,
    TrainingStepRow,
    VoteRow,
)
from benchmarks.filling import Size, fill
from benchmarks.growth import FILTERS, measure, plans
from tests.helpers.databases import KINDS

SIZE = Size(searches=23, nodes=92)


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of the test's own."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    file = tmp_path / "test.db"
    file.write_bytes(request.getfixturevalue("migrated_file").read_bytes())
    return f"sqlite+aiosqlite:///{file}"


async def test_copies_are_complete_searches(url: str) -> None:
    assert [size async for size in fill(url, SIZE, different=10)] == [10, 10, 3]
    database = Database(url)
    async with database.session() as session:
        searches = SearchRepository(session)
        page, _ = await searches.page(100)
        whole = [await searches.get(one.id) for one in page]
        rows = [
            await session.scalar(select(func.count()).select_from(table))
            for table in (
                *(SearchRow, NodeRow, VoteRow, PromptRow),
                *(CheckpointRow, SampleRow, TrainingStepRow, EvaluatedItemRow),
            )
        ]
    await database.close()
    assert rows == [23, 92, 138, 2, 2, 200, 100, 541]
    assert len({one.id for one in page}) == len({one.created_at for one in page}) == 23
    assert len({one.prompt for one in page}) == 10
    assert [one.created_at for one in page] == sorted(
        (one.created_at for one in page), reverse=True
    )
    for one in whole:
        assert one is not None
        assert [len(node.judgment.votes) for node in one.nodes if node.judgment] == [2, 2, 2]


async def test_a_filled_database_can_be_filled_further(url: str) -> None:
    for seed in (1, 2):
        async for _ in fill(url, SIZE, seed=seed, different=10):
            pass
    database = Database(url)
    async with database.session() as session:
        assert await session.scalar(select(func.count()).select_from(SearchRow)) == 46
        assert await session.scalar(select(func.max(CheckpointRow.version))) == 2
    await database.close()


async def test_every_query_is_timed_and_every_plan_is_reported(url: str) -> None:
    async for _ in fill(url, SIZE, different=10):
        pass
    assert set(await plans(url)) == set(FILTERS)
    names = [row.name for row in await measure(url, rounds=2)]
    assert {f"searches {name}" for name in FILTERS} <= set(names)
    assert {"a search with its tree", "writing a search of 10 nodes"} <= set(names)
    assert {"an iteration with its checkpoints", "checkpoints", "evaluations"} <= set(names)

"""Searches come back from the database as they went in."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, func, select
from ulid import ULID

from app.db.searches import (
    ALL_SEARCHES,
    SearchFilter,
    SearchRepository,
    StoredSearch,
    StoredSummary,
)
from app.db.session import Database
from app.db.tables import NodeRow, SearchRow, VoteRow
from app.db.types import storable_text
from app.domain.checkpoint import Versions
from app.domain.search import Mode, StopReason, Usage
from app.search.base import SearchResult
from tests.db.building import fruitless, greedy, looked, search_id, searched

A_MOMENT = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
own_database_per_test = settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


async def store(database: Database, *results: SearchResult, at: datetime = A_MOMENT) -> None:
    async with database.session() as session:
        for result in results:
            await SearchRepository(session).add(result, created_at=at)


def with_actor(result: SearchResult, version: int) -> SearchResult:
    """The same, answered by this version of the actor."""
    return replace(result, request=replace(result.request, versions=Versions(version, 2)))


async def load(database: Database, search: str) -> StoredSearch:
    async with database.session() as session:
        stored = await SearchRepository(session).get(search)
    assert stored is not None
    return stored


async def all_pages(
    database: Database, limit: int, wanted: SearchFilter = ALL_SEARCHES, scan_limit: int = 100
) -> list[list[StoredSummary]]:
    pages: list[list[StoredSummary]] = []
    cursors: list[str | None] = [None]
    while len(pages) < len(cursors):
        async with database.session() as session:
            searches = SearchRepository(session, scan_limit=scan_limit)
            page, cursor = await searches.page(limit, cursors[-1], wanted)
        pages.append(page)
        if cursor is not None:
            assert cursor not in cursors, "the pages go round in circles"
            cursors.append(cursor)
    return pages


async def test_a_search_is_read_as_it_was_stored(database: Database) -> None:
    result = searched(search_id(1))
    await store(database, result)
    stored = await load(database, search_id(1))

    assert stored.nodes == tuple(result.tree)
    assert result.best is not None
    assert result.best.judgment is not None
    assert stored == StoredSearch(
        id=search_id(1),
        created_at=A_MOMENT,
        mode=Mode.BFS,
        prompt="Name a color.",
        response="Blue.",
        accepted=True,
        value=1.0,
        stop_reason=StopReason.ACCEPTED,
        versions=Versions(actor=3, refiner=2),
        usage=Usage(101, 102, 103, 104, 105, 106, 107),
        timing_ms=1234.5,
        messages=result.request.prompt.messages,
        constraints=result.request.prompt.constraints,
        options={
            "search": {
                "n": 2,
                "branch": 4,
                "beam": 1,
                "depth": 5,
                "votes": 2,
                "accept_threshold": 0.6,
                "early_stop": False,
                "quick_verdict": {"low": 0.2, "high": 0.7, "critiques": False},
                "ties": 3,
            },
            "budget": {"max_nodes": 9, "max_tokens": 900, "deadline_ms": 90_000},
            "sampling": {
                "temperature": 0.9,
                "top_p": 0.8,
                "max_tokens": 70,
                "seed": 7,
                "stop": ["END"],
            },
        },
        critique="Good. (0)",
        results=result.best.judgment.constraints,
        best_node=3,
        nodes=tuple(result.tree),
    )


async def test_how_a_judgment_without_votes_was_reached_is_kept(database: Database) -> None:
    result = looked(search_id(1))
    await store(database, result)
    stored = await load(database, search_id(1))

    assert stored.nodes == tuple(result.tree)
    assert (stored.accepted, stored.value) == (True, 0.95)


async def test_what_was_not_judged_stays_unjudged(database: Database) -> None:
    result = greedy(search_id(1))
    await store(database, result)
    stored = await load(database, search_id(1))

    assert (stored.accepted, stored.value, stored.critique) == (None, None, None)
    assert stored.response == "Blue."
    assert stored.nodes == tuple(result.tree)


async def test_a_search_without_any_response_is_stored(database: Database) -> None:
    result = fruitless(search_id(1))
    await store(database, result)
    stored = await load(database, search_id(1))

    assert (stored.response, stored.best_node, stored.accepted) == ("", None, None)
    assert stored.nodes == (result.tree.root,)


async def test_an_unknown_id_is_none(database: Database) -> None:
    await store(database, searched(search_id(1)))
    async with database.session() as session:
        assert await SearchRepository(session).get(search_id(2)) is None
        assert await SearchRepository(session).get("\x00 no id \ud800") is None


async def test_times_are_stored_in_utc(database: Database) -> None:
    elsewhere = A_MOMENT.astimezone(timezone(timedelta(hours=-7)))
    await store(database, searched(search_id(1)), at=elsewhere)
    stored = await load(database, search_id(1))

    assert stored.created_at == A_MOMENT
    assert stored.created_at.utcoffset() == timedelta(0)


async def test_the_start_of_a_search_follows_from_its_duration(database: Database) -> None:
    before = datetime.now(UTC)
    async with database.session() as session:
        await SearchRepository(session).add(searched(search_id(1)))
    began = (await load(database, search_id(1))).created_at

    assert before <= began + timedelta(milliseconds=1234.5) <= datetime.now(UTC)


anything = st.text(st.characters(exclude_categories=()), max_size=50)


@own_database_per_test
@given(instruction=anything, text=anything, critique=anything)
async def test_any_text_can_be_stored(
    database: Database, instruction: str, text: str, critique: str
) -> None:
    result = searched(search_id(1), instruction=instruction, text=text, critique=critique)
    await store(database, result)
    stored = await load(database, search_id(1))
    async with database.session() as session:
        await session.execute(delete(SearchRow))

    assert stored.prompt == storable_text(instruction)
    assert stored.messages[-1].content == storable_text(instruction)
    assert stored.response == stored.nodes[-1].text == storable_text(text)
    assert stored.nodes[-1].judgment is not None
    assert stored.nodes[-1].judgment.votes[0].critique == storable_text(f"{critique} (0)")


@own_database_per_test
@given(numbers=st.sets(st.integers(0, 10_000), max_size=12), limit=st.integers(1, 5))
async def test_pages_hold_everything_once_newest_first(
    database: Database, numbers: set[int], limit: int
) -> None:
    await store(database, *(greedy(search_id(number)) for number in numbers))
    pages = await all_pages(database, limit)
    async with database.session() as session:
        await session.execute(delete(SearchRow))

    listed = [summary.id for page in pages for summary in page]
    assert listed == [search_id(number) for number in sorted(numbers, reverse=True)]
    assert all(len(page) == limit for page in pages[:-1])
    assert len(pages) == max(1, -(-len(numbers) // limit)), "no empty page at the end"


@own_database_per_test
@given(
    written=st.lists(
        st.tuples(st.sampled_from(["red", "Blue", "redder"]), st.sampled_from([1, 2, 3])),
        max_size=12,
    ),
    text=st.sampled_from([None, "RED", "green"]),
    actor=st.sampled_from([None, 1, 2]),
    mode=st.sampled_from([None, Mode.BFS]),
    limit=st.integers(1, 3),
    scan_limit=st.integers(1, 6),
)
async def test_pages_are_complete_for_every_scan_limit(
    database: Database,
    written: list[tuple[str, int]],
    text: str | None,
    actor: int | None,
    mode: Mode | None,
    limit: int,
    scan_limit: int,
) -> None:
    results = [
        with_actor(searched(search_id(number), instruction=word), version)
        for number, (word, version) in enumerate(written)
    ]
    await store(database, *results)
    wanted = SearchFilter(mode=mode, actor=actor, text=text)
    pages = await all_pages(database, limit, wanted, scan_limit)
    async with database.session() as session:
        await session.execute(delete(SearchRow))

    assert [summary.id for page in pages for summary in page] == [
        search_id(number)
        for number, (word, version) in reversed(list(enumerate(written)))
        if (text is None or text.lower() in word.lower()) and actor in (None, version)
    ]
    assert all(len(page) <= limit for page in pages)


async def test_an_empty_page_has_a_cursor(database: Database) -> None:
    await store(database, searched(search_id(1), instruction="Name a bird."))
    await store(database, *(searched(search_id(number)) for number in range(2, 9)))
    wanted = SearchFilter(text="bird")
    async with database.session() as session:
        searches = SearchRepository(session, scan_limit=4)
        assert await searches.page(10, None, wanted) == ([], search_id(5))
        page, cursor = await searches.page(10, search_id(5), wanted)
    assert ([one.id for one in page], cursor) == ([search_id(1)], None)


async def test_a_scan_begins_at_the_newest_match_of_the_rarest_condition(
    database: Database,
) -> None:
    await store(database, *(with_actor(searched(search_id(number)), 1) for number in range(3)))
    await store(database, *(with_actor(searched(search_id(number)), 2) for number in range(3, 9)))
    async with database.session() as session:
        searches = SearchRepository(session, scan_limit=3)
        page, cursor = await searches.page(10, None, SearchFilter(actor=1, text="color"))
        nothing = await searches.page(10, None, SearchFilter(actor=9, text="color"))
    assert ([one.id for one in page], cursor) == ([search_id(n) for n in (2, 1, 0)], None)
    assert nothing == ([], None)


async def test_pages_are_stable_while_searches_arrive(database: Database) -> None:
    await store(database, *(greedy(search_id(number)) for number in range(1, 7)))
    async with database.session() as session:
        first, cursor = await SearchRepository(session).page(2, None)
    await store(database, greedy(search_id(7)), greedy(search_id(8)))
    async with database.session() as session:
        second, _ = await SearchRepository(session).page(2, cursor)

    assert [summary.id for summary in first] == [search_id(6), search_id(5)]
    assert [summary.id for summary in second] == [search_id(4), search_id(3)]


async def test_the_list_agrees_with_the_search(database: Database) -> None:
    await store(database, searched(search_id(1)))
    [[summary]] = await all_pages(database, 10)
    stored = await load(database, search_id(1))

    for name in StoredSummary.__dataclass_fields__:
        assert getattr(summary, name) == getattr(stored, name)


@pytest.mark.parametrize("table", [NodeRow, VoteRow])
async def test_deleting_a_search_deletes_its_tree(
    database: Database, table: type[NodeRow] | type[VoteRow]
) -> None:
    await store(database, searched(search_id(1)), searched(search_id(2)))
    async with database.session() as session:
        await session.execute(delete(SearchRow).where(SearchRow.id == search_id(1)))
    async with database.session() as session:
        owners = await session.execute(
            select(table.search_id, func.count()).group_by(table.search_id)
        )
        assert [owner for owner, _ in owners] == [search_id(2)]


async def test_only_judged_searches_since_a_moment_are_counted(database: Database) -> None:
    def ids(moment: datetime) -> list[str]:
        return [str(ULID.from_datetime(moment + timedelta(milliseconds=n))) for n in range(3)]

    before, after = ids(A_MOMENT - timedelta(hours=1)), ids(A_MOMENT)
    await store(database, searched(before[0]))
    await store(database, searched(after[0]), greedy(after[1]), looked(after[2]))
    async with database.session() as session:
        searches = SearchRepository(session)
        assert await searches.judged_since(A_MOMENT) == (2, 2)
        assert await searches.judged_since(A_MOMENT - timedelta(hours=2)) == (3, 3)
        assert await searches.judged_since(A_MOMENT + timedelta(hours=1)) == (0, 0)

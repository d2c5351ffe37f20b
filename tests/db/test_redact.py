"""What is kept of a search where texts may not be kept."""

import dataclasses
import json
from typing import Any

import pytest

from app.db.prompts import Feedback, FeedbackRepository
from app.db.recorder import Recorder
from app.db.redact import NOT_KEPT, redacted
from app.db.searches import SearchRepository, began_at, node_rows, search_row, vote_rows
from app.db.session import Database
from app.search.base import SearchResult
from tests.db.building import fruitless, greedy, looked, search_id, searched

SEARCHES = [searched(search_id(1)), looked(search_id(2)), greedy(search_id(3)), fruitless("4")]
WORDS = ("color", "Blue", "brief", "dog", "Gre", "END", "Sky", "Good", "Not a")


def rows(result: SearchResult) -> list[dict[str, Any]]:
    return [search_row(result, began_at(result)), *node_rows(result), *vote_rows(result)]


@pytest.mark.parametrize("result", SEARCHES)
def test_no_text_is_left(result: SearchResult) -> None:
    written = json.dumps(rows(redacted(result)), default=str)
    assert [word for word in WORDS if word in written] == []


@pytest.mark.parametrize("result", SEARCHES)
def test_the_shape_and_the_figures_stay(result: SearchResult) -> None:
    kept = redacted(result)
    assert (kept.usage, kept.stop_reason, kept.timing_ms) == (
        result.usage,
        result.stop_reason,
        result.timing_ms,
    )
    assert (kept.best and kept.best.id) == (result.best and result.best.id)
    for before, after in zip(result.tree, kept.tree, strict=True):
        wordless = dataclasses.replace(before, text=after.text, judgment=after.judgment)
        assert after == wordless
        assert (after.judgment is None) == (before.judgment is None)
        assert (after.accepted, after.rank) == (before.accepted, before.rank)
        assert bool(after.text) == bool(before.text)


def test_the_search_is_not_modified() -> None:
    result = searched(search_id(1))
    redacted(result)
    assert result.best is not None
    assert result.best.text == "Blue."


async def test_a_recorder_that_keeps_no_texts_writes_none(database: Database) -> None:
    recorder = Recorder(database, store="redacted")
    recorder.submit(searched(search_id(1)))
    await recorder.close(60)
    async with database.session() as session:
        stored = await SearchRepository(session).get(search_id(1))
    assert stored is not None
    assert (stored.prompt, stored.response) == (NOT_KEPT, NOT_KEPT)
    assert [len(node.judgment.votes) for node in stored.nodes if node.judgment] == [2, 2]


async def test_a_recorder_that_keeps_nothing_writes_nothing(database: Database) -> None:
    recorder = Recorder(database, store="none")
    recorder.submit(searched(search_id(1)))
    assert recorder.pending == 0
    await recorder.close(60)
    async with database.session() as session:
        assert await SearchRepository(session).get(search_id(1)) is None
    assert recorder.lost == 0


async def test_a_search_without_its_prompt_adds_no_prompt_to_the_pool(database: Database) -> None:
    for store, number in (("full", 1), ("redacted", 2)):
        recorder = Recorder(database, store=store)  # type: ignore[arg-type]
        recorder.submit(searched(search_id(number)))
        await recorder.close(60)
        async with database.session() as session:
            feedback = Feedback(search_id(number), better="Red.")
            assert await FeedbackRepository(session).add(feedback)
    async with database.session() as session:
        found = await FeedbackRepository(session).better_answers("iteration")
    assert [one.search_id for one in found] == [search_id(1)]

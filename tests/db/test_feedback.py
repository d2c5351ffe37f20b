"""Feedback: each better answer is used by one iteration."""

import pytest

from app.db.iterations import IterationRepository, NewIteration
from app.db.prompts import Feedback, FeedbackRepository
from app.db.searches import SearchRepository
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.domain.iteration import PRESETS
from tests.db.building import searched

SEARCH = "a" * 26


@pytest.fixture(autouse=True)
async def stored_search(database: Database) -> None:
    """A stored search whose answer is "Blue."."""
    async with database.session() as session:
        await SearchRepository(session).add(searched(SEARCH))


async def say(database: Database, **what: str | int) -> str | None:
    async with database.session() as session:
        return await FeedbackRepository(session).add(
            Feedback(**({"search_id": SEARCH} | what))  # type: ignore[arg-type]
        )


async def queue(database: Database) -> str:
    async with database.session() as session:
        return await IterationRepository(session).add(NewIteration("micro", PRESETS["micro"]))


async def test_a_better_answer_has_the_original_response(database: Database) -> None:
    said = await say(database, better="Green.", rating=-1)
    async with database.session() as session:
        (answer,) = await FeedbackRepository(session).better_answers(await queue(database))
    assert answer.feedback_id == said
    assert (answer.search_id, answer.response, answer.better) == (SEARCH, "Blue.", "Green.")
    assert answer.messages[-1] == {"role": "user", "content": "Name a color."}
    assert answer.versions == Versions(3, 2)


async def test_a_rating_alone_is_no_better_answer(database: Database) -> None:
    await say(database, rating=1, comment="Nice.")
    async with database.session() as session:
        assert await FeedbackRepository(session).better_answers("any") == []


async def test_feedback_is_used_by_one_iteration(database: Database) -> None:
    first, second = await queue(database), await queue(database)
    used = await say(database, better="Green.")
    assert used is not None
    async with database.session() as session:
        await FeedbackRepository(session).mark_used([used], first)
    fresh = await say(database, better="Red.")
    async with database.session() as session:
        feedback = FeedbackRepository(session)
        mine = [answer.feedback_id for answer in await feedback.better_answers(first)]
        other = [answer.feedback_id for answer in await feedback.better_answers(second)]
    assert (mine, other) == ([used, fresh], [fresh])


async def test_feedback_on_an_unknown_search_is_not_stored(database: Database) -> None:
    assert await say(database, search_id="b" * 26, rating=1) is None

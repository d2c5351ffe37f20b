"""Feedback on searches."""

from typing import Any

import httpx
import pytest

from app.db.prompts import FeedbackRepository
from app.db.recorder import Recorder
from app.db.session import Database
from tests.db.building import search_id, searched

SEARCH = search_id(1)


async def test_a_better_answer_is_stored_for_the_next_iteration(
    admin: httpx.AsyncClient, database: Database, recorder: Recorder
) -> None:
    recorder.submit(searched(SEARCH))
    body = {"search_id": SEARCH, "rating": -1, "better": "Green.", "comment": "Too blue."}
    response = await admin.post("/feedback", json=body)
    assert response.status_code == 201, "feedback waits until its search is written"
    assert response.json() == body | {"id": response.json()["id"]}
    async with database.session() as session:
        [stored] = await FeedbackRepository(session).better_answers("any")
    assert (stored.feedback_id, stored.response, stored.better) == (
        response.json()["id"],
        "Blue.",
        "Green.",
    )


async def test_a_rating_alone_is_enough(admin: httpx.AsyncClient, recorder: Recorder) -> None:
    recorder.submit(searched(SEARCH))
    response = await admin.post("/feedback", json={"search_id": SEARCH, "rating": 1})
    assert (response.status_code, response.json()["better"]) == (201, None)


async def test_feedback_on_an_unknown_search_is_not_found(admin: httpx.AsyncClient) -> None:
    response = await admin.post("/feedback", json={"search_id": SEARCH, "rating": 1})
    assert (response.status_code, response.json()["field"]) == (404, "search_id")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, None),
        ({"comment": "Hm."}, None),
        ({"rating": 0}, "rating"),
        ({"rating": None, "better": "  "}, "better"),
        ({"rating": 1, "search_id": "nonsense"}, "search_id"),
    ],
)
async def test_empty_feedback_is_refused(
    admin: httpx.AsyncClient, body: dict[str, Any], field: str | None
) -> None:
    response = await admin.post("/feedback", json={"search_id": SEARCH} | body)
    assert (response.status_code, response.json().get("field")) == (422, field)

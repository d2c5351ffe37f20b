"""`POST /judge` on the real engine."""

from typing import Any

import httpx
import pytest

pytestmark = pytest.mark.engine


def judge(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post("/judge", json={"prompt": "Name one river.", "response": "Nile"} | body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_every_vote_is_shown(client: httpx.Client) -> None:
    answer = judge(client)
    assert len(answer["votes"]) == 5 == answer["usage"]["votes"]
    assert answer["value"] == sum(vote["verdict"] for vote in answer["votes"]) / 5
    assert answer["accepted"] == (answer["value"] > 0.5)
    assert all(0 < vote["probability"] < 1 for vote in answer["votes"])
    assert any(vote["critique"] for vote in answer["votes"])


def test_a_failed_constraint_is_not_accepted_whatever_the_votes(client: httpx.Client) -> None:
    upper = {"id": "change_case:english_capital", "kwargs": {}}
    answer = judge(client, constraints=[upper], search={"accept_threshold": 0})
    assert answer["accepted"] is False
    assert answer["constraints"][0]["satisfied"] is False
    assert answer["constraints"][0]["message"] in answer["critique"]


def test_a_copy_of_the_prompt_is_not_accepted(client: httpx.Client) -> None:
    answer = judge(client, response="name one river", search={"accept_threshold": 0})
    assert answer["accepted"] is False
    assert "repeat" in answer["critique"]


def test_a_seed_makes_the_votes_reproducible(client: httpx.Client) -> None:
    first, second = (judge(client, seed=3, search={"votes": 3})["votes"] for _ in range(2))
    assert first == second


def test_ties_are_judged_again(client: httpx.Client) -> None:
    """Two votes tie about half the time; more votes are counted than are shown then."""
    answers = [judge(client, seed=seed, search={"votes": 2}) for seed in range(8)]
    assert all(len(answer["votes"]) == 2 for answer in answers)
    assert any(answer["usage"]["votes"] > 2 for answer in answers)
    assert all(answer["usage"]["votes"] <= 8 for answer in answers)

"""The list of searches and its filters."""

from dataclasses import replace

import httpx
import pytest

from app.db.recorder import Recorder
from app.domain.checkpoint import Versions
from tests.db.building import greedy, search_id, searched

ACCEPTED, GREEDY, OTHER = (search_id(number) for number in (1, 2, 3))


@pytest.fixture
async def stored(admin: httpx.AsyncClient, recorder: Recorder) -> httpx.AsyncClient:
    """A client of a server with three searches."""
    other = searched(OTHER, instruction="100% _sure_?", text="Öl.")
    other.request = replace(other.request, versions=Versions(actor=4, refiner=2))
    for result in (searched(ACCEPTED), greedy(GREEDY), other):
        recorder.submit(result)
        await recorder.wait_for(result.request.id)
    return admin


async def ids(client: httpx.AsyncClient, **filters: str) -> list[str]:
    response = await client.get("/searches", params=filters)
    assert response.status_code == 200, response.text
    return [search["id"] for search in response.json()["searches"]]


@pytest.mark.parametrize(
    ("filters", "expected"),
    [
        ({}, [OTHER, GREEDY, ACCEPTED]),
        ({"mode": "greedy"}, [GREEDY]),
        ({"accepted": "true"}, [OTHER, ACCEPTED]),
        ({"accepted": "false"}, []),
        ({"stop_reason": "accepted"}, [OTHER, ACCEPTED]),
        ({"stop_reason": "deadline"}, []),
        ({"actor": "4"}, [OTHER]),
        ({"actor": "4", "refiner": "1"}, []),
        ({"text": "name a COLOR"}, [GREEDY, ACCEPTED]),
        ({"text": "Öl"}, [OTHER]),
        ({"text": "0% _s"}, [OTHER]),
        ({"text": "_"}, [OTHER]),
        ({"text": "color", "mode": "bfs"}, [ACCEPTED]),
    ],
)
async def test_filters_narrow_the_list_down_together(
    stored: httpx.AsyncClient, filters: dict[str, str], expected: list[str]
) -> None:
    assert await ids(stored, **filters) == expected


async def test_pages_hold_only_what_fits(stored: httpx.AsyncClient) -> None:
    first = await stored.get("/searches", params={"accepted": "true", "limit": 1})
    cursor = first.json()["next_cursor"]
    assert [search["id"] for search in first.json()["searches"]] == [OTHER]
    second = await stored.get("/searches", params={"accepted": "true", "cursor": cursor})
    assert [search["id"] for search in second.json()["searches"]] == [ACCEPTED]
    assert second.json()["next_cursor"] is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("mode", "sideways"), ("accepted", "perhaps"), ("actor", "-1"), ("text", "a\x00b")],
)
async def test_an_invalid_filter_is_refused(
    stored: httpx.AsyncClient, name: str, value: str
) -> None:
    response = await stored.get("/searches", params={name: value})
    assert (response.status_code, response.json()["field"]) == (422, name)

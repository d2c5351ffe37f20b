"""Bad input: every kind gets a clear error in one shape, and harms nobody else."""

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.integration.bad_requests import BODIES, PROMPT, Bad
from tests.integration.server import Server, wait_until

pytestmark = pytest.mark.engine

JSON = {"content-type": "application/json"}
NO_SEARCH = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
MEGABYTE = b" " * 1_000_000
PLACES = 16 + 16
"""Requests the server has room for: running and waiting."""


@pytest.fixture(autouse=True)
def unharmed(server: Server) -> Iterator[None]:
    """Afterwards nothing is left running, nothing is lost, and the engine has not restarted."""
    before = server.health()
    yield
    after = server.health()
    assert server.is_ready()
    assert after["requests"] == after["engine_calls"] == 0
    assert after["engine_restarts"] == before["engine_restarts"]
    assert after["searches_lost"] == before["searches_lost"]


def problem(response: httpx.Response) -> dict[str, Any]:
    """The problem details of a response, in the one shape that all have."""
    assert response.headers["content-type"] == "application/problem+json", response.text
    details: dict[str, Any] = response.json()
    assert list(details)[:4] == ["type", "title", "status", "message"]
    assert set(details) <= {"type", "title", "status", "message", "field"}
    assert details["status"] == response.status_code
    assert details["title"]
    return details


@pytest.mark.parametrize("bad", BODIES, ids=lambda bad: bad.name)
def test_a_bad_body(client: httpx.Client, bad: Bad) -> None:
    body = bad.body if isinstance(bad.body, str | bytes) else json.dumps(bad.body)
    details = problem(client.post(bad.path, content=body, headers=JSON))
    assert (details["status"], details["type"]) == (bad.status, bad.type), details
    assert details.get("field") == bad.field
    assert bad.words in details["message"]


@pytest.mark.parametrize(
    ("method", "path", "status", "field", "words"),
    [
        ("GET", "/generate", 405, None, "does not accept GET"),
        ("DELETE", "/searches", 405, None, "does not accept DELETE"),
        ("POST", "/generat", 404, None, "no route /generat"),
        ("GET", "/v1/completions", 404, None, "no route /v1/completions"),
        ("GET", f"/searches/{NO_SEARCH}", 404, None, NO_SEARCH),
        ("GET", "/searches/nonsense", 422, "search_id", "pattern"),
        ("GET", "/searches/%00%ff", 422, "search_id", "pattern"),
        ("GET", "/searches?cursor=nonsense", 422, "cursor", "pattern"),
        ("GET", "/searches?limit=0", 422, "limit", "1"),
        ("GET", "/searches?limit=201", 422, "limit", "200"),
        ("GET", "/searches?limit=many", 422, "limit", "integer"),
    ],
)
def test_a_bad_path(
    client: httpx.Client, method: str, path: str, status: int, field: str | None, words: str
) -> None:
    details = problem(client.request(method, path))
    assert details["status"] == status
    assert details.get("field") == field
    assert words in details["message"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_body_that_is_not_called_json(client: httpx.Client, kind: str | None) -> None:
    headers = {"content-type": kind} if kind else {}
    details = problem(client.post("/generate", content=json.dumps(PROMPT), headers=headers))
    assert (details["status"], details["type"]) == (415, "unsupported_media_type")
    assert "Content-Type: application/json" in details["message"]


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_of_fifty_megabytes(client: httpx.Client, chunked: bool) -> None:
    content = (MEGABYTE for _ in range(50)) if chunked else MEGABYTE * 50
    details = problem(client.post("/generate", content=content, headers=JSON))
    assert (details["status"], details["type"]) == (413, "body_too_large")
    assert "1048576 bytes" in details["message"]


def test_a_catastrophic_pattern_holds_up_nobody_else(client: httpx.Client, server: Server) -> None:
    body = {
        "prompt": "Say something.",
        "response": "a" * 60 + "b",
        "constraints": [{"id": "regex", "kwargs": {"pattern": "(a|aa)+$"}}],
        "search": {"votes": 1},
    }
    with ThreadPoolExecutor(1) as pool:
        judged = pool.submit(client.post, "/judge", json=body)
        wait_until(lambda: server.health()["requests"] == 1, 30)
        with server.client as other:
            assert other.post("/generate", json=PROMPT).status_code == 200
        response = judged.result()
    assert response.status_code == 200
    [result] = response.json()["constraints"]
    assert not result["satisfied"]
    assert "took longer" in result["message"]


async def test_more_requests_than_there_is_room_for(server: Server) -> None:
    body = PROMPT | {"sampling": {"max_tokens": 64}}
    async with httpx.AsyncClient(base_url=server.url, timeout=240) as client:
        requests = [client.post("/generate", json=body) for _ in range(PLACES + 16)]
        responses = await asyncio.gather(*requests)
    counts = Counter(response.status_code for response in responses)
    assert set(counts) == {200, 429}
    assert counts[200] >= PLACES
    for response in responses:
        if response.status_code == 429:
            assert problem(response)["type"] == "overloaded"
            assert int(response.headers["retry-after"]) > 0

"""The quick verdict at the HTTP endpoint: enabled by a flag, thresholds from the settings."""

import httpx
import pytest
from fastapi import FastAPI

from app.api import generate
from app.api.requests import search_request
from app.api.schemas import GenerateIn, SearchIn
from app.domain.search import QuickVerdictRule
from tests.helpers.scripts import reading_yes
from tests.helpers.serving import endpoint


@pytest.fixture
def app() -> FastAPI:
    """The judging endpoint over an engine whose quick verdict says 0.05."""
    opened = endpoint(reading_yes(0.05))
    opened.include_router(generate.router)
    return opened


async def judged(app: FastAPI, **shape: object) -> dict[str, object]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        body = {"prompt": "Name a river.", "response": "Nile", "search": shape}
        answer = await client.post("/judge", json=body)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


async def test_a_judgment_by_quick_verdict_says_so(app: FastAPI) -> None:
    found = await judged(app, quick_verdict=True)
    assert (found["accepted"], found["votes"], found["critique"]) == (False, [], "")
    assert found["quick_verdict"] == found["value"] == pytest.approx(0.05)


async def test_a_judgment_by_votes_has_no_quick_verdict(app: FastAPI) -> None:
    found = await judged(app)
    assert found["quick_verdict"] is None
    assert found["usage"]["votes"] == 5  # type: ignore[index]


@pytest.mark.parametrize(("asked", "expected"), [(True, QuickVerdictRule(0.1, 0.9)), (False, None)])
async def test_a_search_takes_the_thresholds_of_the_settings(
    app: FastAPI, asked: bool, expected: QuickVerdictRule | None
) -> None:
    body = GenerateIn(prompt="Name a river.", search=SearchIn(quick_verdict=asked))
    request = await search_request(body, app.state.services)
    assert request.options.quick_verdict == expected

"""A response to repair, at both endpoints."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api import generate
from app.api.deps import Services
from app.api.requests import search_request
from app.api.schemas import GenerateIn
from app.db.recorder import Recorder
from app.domain.search import Mode
from tests.helpers.scripts import never, only, playing
from tests.helpers.serving import endpoint

PROMPT, GIVEN = "Name a river.", "The Alps."
SMALL = {"n": 2, "branch": 2, "beam": 1, "depth": 2, "votes": 1}


def opened(*accepted: str) -> FastAPI:
    """The endpoints over a judge that accepts these texts."""
    app = endpoint(playing(decide=only(*accepted) if accepted else never))
    app.include_router(generate.router)
    services: Services = app.state.services
    services.recorder = Recorder(services.database, store="none")
    return app


async def post(app: FastAPI, path: str, **body: Any) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.post(path, json={"search": SMALL, **body})


@pytest.mark.parametrize("mode", Mode)
async def test_generate_rewrites_it(mode: Mode) -> None:
    answer = await post(
        opened("rewrite 1"),
        "/generate",
        prompt=PROMPT,
        response=GIVEN,
        mode=mode,
        include_tree=True,
    )
    found = answer.json()
    assert (found["response"], found["accepted"]) == ("rewrite 1", True)
    assert found["usage"]["responses"] == 0
    root = found["tree"][0]
    assert (root["kind"], root["text"], root["accepted"]) == ("response", GIVEN, False)


async def test_an_accepted_response_is_returned_unchanged() -> None:
    answer = await post(opened(GIVEN), "/generate", prompt=PROMPT, response=GIVEN)
    found = answer.json()
    assert (found["response"], found["accepted"], found["usage"]["nodes"]) == (GIVEN, True, 0)


async def test_a_chat_completion_with_a_search_mode_rewrites_it() -> None:
    answer = await post(
        opened("rewrite 1"),
        "/v1/chat/completions",
        model="actor:bfs",
        messages=[{"role": "user", "content": PROMPT}],
        response=GIVEN,
    )
    assert answer.json()["choices"][0]["message"]["content"] == "rewrite 1"


async def test_a_plain_chat_completion_refuses_a_given_response() -> None:
    messages = [{"role": "user", "content": PROMPT}]
    answer = await post(
        opened(), "/v1/chat/completions", model="actor", messages=messages, response=GIVEN
    )
    assert answer.status_code == 422


@pytest.mark.parametrize("mode", Mode)
async def test_the_rewrite_may_be_as_long_as_what_is_given_leaves_room_for(mode: Mode) -> None:
    services = opened().state.services

    async def room(response: str) -> int:
        body = GenerateIn(prompt=PROMPT, response=response, mode=mode)
        body.sampling.max_tokens = services.engine.context_tokens
        return (await search_request(body, services)).sampling.max_tokens

    long = "word " * (services.engine.context_tokens * 2 // 3)
    assert await room(long) < await room(GIVEN)


async def test_one_that_leaves_no_room_is_refused() -> None:
    app = opened()
    long = "word " * app.state.services.engine.context_tokens
    answer = await post(app, "/generate", prompt=PROMPT, response=long)
    assert answer.status_code == 413

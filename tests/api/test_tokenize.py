"""`POST /tokenize`, over a scripted engine whose tokens are words."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.engine.base import Call
from tests.helpers.scripted_engine import ScriptedEngine
from tests.helpers.serving import endpoint

USER = {"role": "user", "content": "name a river"}
ASSISTANT = {"role": "assistant", "content": "the Nile"}


async def nothing(call: Call) -> str:
    return ""


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(endpoint(ScriptedEngine(nothing, lambda call, option: 0.0)))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize(
    ("body", "count"),
    [
        ({"prompt": "a b c", "add_special_tokens": False}, 3),
        ({"prompt": "a b c", "model": "whatever"}, 4),
        ({"prompt": "", "add_special_tokens": False}, 0),
        ({"messages": [USER]}, 3),
        ({"messages": [USER], "add_generation_prompt": True, "add_special_tokens": False}, 3),
        ({"messages": [USER, ASSISTANT]}, 5),
        (
            {
                "messages": [USER, ASSISTANT],
                "continue_final_message": True,
                "add_generation_prompt": False,
            },
            5,
        ),
    ],
)
async def test_tokens_and_their_number(
    client: httpx.AsyncClient, body: dict[str, Any], count: int
) -> None:
    response = await client.post("/tokenize", json=body)
    assert response.status_code == 200
    answer = response.json()
    assert answer["count"] == len(answer["tokens"]) == count
    assert answer["max_model_len"] == 4096


async def test_equal_words_are_equal_tokens(client: httpx.AsyncClient) -> None:
    body = {"prompt": " no yes no", "add_special_tokens": False}
    first, second, third = (await client.post("/tokenize", json=body)).json()["tokens"]
    assert first == third != second


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({}, "either `prompt` or `messages`"),
        ({"prompt": "a", "messages": [USER]}, "either `prompt` or `messages`"),
        ({"messages": []}, "messages"),
        ({"messages": [ASSISTANT]}, "user message before"),
        ({"messages": [USER, ASSISTANT | {"content": " "}]}, "the last of"),
        ({"messages": [USER], "add_special_tokens": True}, "add_special_tokens"),
        ({"messages": [USER], "continue_final_message": True}, "continue_final_message"),
        ({"messages": [USER, ASSISTANT], "add_generation_prompt": True}, "add_generation_prompt"),
        ({"prompt": "a", "return_token_strs": True}, "return_token_strs"),
    ],
)
async def test_what_cannot_be_is_refused(
    client: httpx.AsyncClient, body: dict[str, Any], words: str
) -> None:
    response = await client.post("/tokenize", json=body)
    assert response.status_code == 422
    assert words in response.json()["message"]

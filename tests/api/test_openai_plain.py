"""What the OpenAI endpoint shares with vLLM's dialect, over a scripted engine."""

import json
import math
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.engine.base import Call
from tests.helpers.scripted_engine import ScriptedEngine
from tests.helpers.serving import endpoint

USER = {"role": "user", "content": "Is water wet?"}
OPENED = {"role": "assistant", "content": "Verdict:"}
CHAT = "/v1/chat/completions"


async def surely(call: Call) -> str:
    return "surely it is"


def log_probability(call: Call, option: str) -> float:
    return -math.inf if option == " never" else -0.5 * len(option)


@pytest.fixture
def engine() -> ScriptedEngine:
    return ScriptedEngine(surely, log_probability)


@pytest.fixture
async def client(engine: ScriptedEngine) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(endpoint(engine))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def body(**fields: Any) -> dict[str, Any]:
    """A request for one token."""
    return {"model": "actor", "messages": [USER, OPENED], "max_tokens": 1, **fields}


async def test_wanted_tokens_are_reported_by_their_ids(
    client: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    yes, never = await engine.tokenize(" yes never")
    wanted = body(
        logprobs=True, logprob_token_ids=[yes, never, yes], return_tokens_as_token_ids=True
    )
    [choice] = (await client.post(CHAT, json=wanted)).json()["choices"]
    [position] = choice["logprobs"]["content"]
    reported = {token["token"]: token["logprob"] for token in position["top_logprobs"]}
    [said] = await engine.tokenize("surely")
    assert position["token"] == f"token_id:{said}"
    assert reported == {
        f"token_id:{said}": -3.0,
        f"token_id:{yes}": -2.0,
        f"token_id:{never}": -9999.0,
    }
    assert engine.started[0].logprob_token_ids == (yes, never)


async def test_by_default_tokens_are_named_by_their_text(
    client: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    ids = await engine.tokenize(" yes")
    wanted = body(logprobs=True, logprob_token_ids=ids)
    [choice] = (await client.post(CHAT, json=wanted)).json()["choices"]
    [position] = choice["logprobs"]["content"]
    assert [token["token"] for token in position["top_logprobs"]] == ["surely", " yes"]


async def test_a_stream_names_tokens_the_same_way(
    client: httpx.AsyncClient, engine: ScriptedEngine
) -> None:
    ids = await engine.tokenize(" yes")
    wanted = body(logprobs=True, logprob_token_ids=ids, return_tokens_as_token_ids=True)
    answer = await client.post(CHAT, json=wanted | {"stream": True})
    data = [line.removeprefix("data: ") for line in answer.text.splitlines() if "data: {" in line]
    chunks = [json.loads(line)["choices"][0] for line in data]
    [position] = [chunk["logprobs"]["content"][0] for chunk in chunks if "logprobs" in chunk]
    assert position["token"].startswith("token_id:")
    assert len(position["top_logprobs"]) == 2


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"logprob_token_ids": [1]}, "`logprob_token_ids` requires `logprobs: true`"),
        ({"return_tokens_as_token_ids": True}, "requires `logprobs: true`"),
        ({"logprobs": True, "logprob_token_ids": [-1]}, "logprob_token_ids.0"),
        ({"logprobs": True, "logprob_token_ids": [1] * 129}, "logprob_token_ids"),
        ({"continue_final_message": False}, "`continue_final_message` must be true"),
        ({"add_generation_prompt": True}, "`add_generation_prompt` must be false"),
        ({"messages": [USER], "continue_final_message": True}, "and false with any other"),
        ({"messages": [USER], "add_generation_prompt": False}, "and true with any other"),
        (
            {"model": "actor:bfs", "messages": [USER], "logprobs": True, "logprob_token_ids": [1]},
            "are not supported with a search mode",
        ),
    ],
)
async def test_what_cannot_be_is_refused(
    client: httpx.AsyncClient, engine: ScriptedEngine, fields: dict[str, Any], words: str
) -> None:
    response = await client.post(CHAT, json=body(**fields))
    assert response.status_code == 422
    assert words in response.json()["message"]
    assert engine.started == []


@pytest.mark.parametrize("messages", [[USER], [USER, OPENED]])
async def test_the_flags_may_say_what_the_messages_say(
    client: httpx.AsyncClient, messages: list[dict[str, str]]
) -> None:
    continued = messages[-1] is OPENED
    flags = {"continue_final_message": continued, "add_generation_prompt": not continued}
    response = await client.post(CHAT, json=body(messages=messages, **flags))
    assert response.status_code == 200


async def test_every_model_reports_the_context_length(client: httpx.AsyncClient) -> None:
    models = (await client.get("/v1/models")).json()["data"]
    assert {model["max_model_len"] for model in models} == {4096}

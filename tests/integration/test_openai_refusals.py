"""What the OpenAI endpoint refuses, as the official `openai` client tells it."""

from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.integration.server import Server

pytestmark = pytest.mark.engine

MESSAGES = [{"role": "user", "content": "Name some rivers."}]
PREFILLED = [*MESSAGES, {"role": "assistant", "content": "The Nile"}]
FUNCTION = {"type": "function", "function": {"name": "look_up", "parameters": {}}}
UNSUPPORTED: dict[str, Any] = {
    "audio": {"voice": "alloy", "format": "wav"},
    "frequency_penalty": 0.5,
    "function_call": "auto",
    "functions": [{"name": "look_up"}],
    "logit_bias": {"50256": -100},
    "metadata": {"purpose": "none"},
    "modalities": ["text"],
    "parallel_tool_calls": False,
    "prediction": {"type": "content", "content": "The Nile"},
    "presence_penalty": 0.5,
    "reasoning_effort": "low",
    "response_format": {"type": "json_object"},
    "safety_identifier": "somebody",
    "service_tier": "auto",
    "store": True,
    "tool_choice": "none",
    "tools": [FUNCTION],
    "user": "somebody",
    "verbosity": "low",
    "web_search_options": {},
}


@pytest.fixture(scope="module")
def client(server: Server) -> OpenAI:
    return OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0)


def refused(client: OpenAI, **options: Any) -> openai.APIStatusError:
    """The client's error for a request that is refused."""
    wanted: dict[str, Any] = {"model": "actor", "messages": MESSAGES, "max_tokens": 4} | options
    with pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(**wanted)
    assert isinstance(caught.value.body, dict)
    assert caught.value.body["status"] == caught.value.status_code
    assert caught.value.body["message"] in str(caught.value)
    return caught.value


def field_of(error: openai.APIStatusError) -> str | None:
    """The field that an error names."""
    assert isinstance(error.body, dict)
    field: str | None = error.body.get("field")
    return field


@pytest.mark.parametrize("field", UNSUPPORTED)
def test_an_unsupported_field_is_refused_by_name(client: OpenAI, field: str) -> None:
    error = refused(client, **{field: UNSUPPORTED[field]})
    assert isinstance(error, openai.UnprocessableEntityError)
    assert field_of(error) == field
    assert f"`{field}`" in str(error)


def test_a_field_of_other_servers_is_refused_by_name(client: OpenAI) -> None:
    error = refused(client, extra_body={"top_k": 5})
    assert field_of(error) == "top_k"


@pytest.mark.parametrize("model", ["gpt-5", "actor:mcts", "refiner:bfs", "actor:", "", "ACTOR"])
def test_an_unknown_model_is_not_found(client: OpenAI, model: str) -> None:
    error = refused(client, model=model)
    assert isinstance(error, openai.NotFoundError)
    assert field_of(error) == "model"
    assert "actor:bfs" in str(error)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("n", {"n": 2}),
        ("logprobs", {"logprobs": True}),
        ("messages", {"messages": PREFILLED}),
        ("search.width", {"extra_body": {"search": {"width": 2}}}),
        ("constraints.0.id", {"extra_body": {"constraints": [{"id": "nothing"}]}}),
    ],
)
def test_what_a_search_mode_does_not_take(
    client: OpenAI, field: str, options: dict[str, Any]
) -> None:
    error = refused(client, model="actor:bfs", **options)
    assert isinstance(error, openai.UnprocessableEntityError)
    assert field_of(error) == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("search", {"branch": 2}),
        ("budget", {"max_nodes": 2}),
        ("constraints", []),
        ("include_tree", True),
    ],
)
def test_what_only_a_search_mode_takes(client: OpenAI, field: str, value: Any) -> None:
    error = refused(client, extra_body={field: value})
    assert field_of(error) == field
    assert "search mode" in str(error)


@pytest.mark.parametrize(
    ("field", "options"),
    [
        ("temperature", {"temperature": 2.1}),
        ("top_p", {"top_p": 0}),
        ("n", {"n": 65}),
        ("seed", {"seed": 2**63}),
        ("stop.0", {"stop": ""}),
        ("stop", {"stop": ["."] * 17}),
        ("top_logprobs", {"logprobs": True, "top_logprobs": 21}),
        ("max_tokens", {"max_tokens": 0}),
        ("messages", {"messages": []}),
        ("messages", {"messages": [{"role": "system", "content": "You are brief."}]}),
        ("messages.0.role", {"messages": [{"role": "tool", "content": "4"}]}),
        ("messages.0.content", {"messages": [{"role": "user", "content": None}]}),
        ("messages.0.name", {"messages": [{"role": "user", "content": "hi", "name": "me"}]}),
        (
            "messages.0.content.0.type",
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        ),
        (None, {"top_logprobs": 2}),
        (None, {"stream_options": {"include_usage": True}}),
        (None, {"max_completion_tokens": 4}),
    ],
)
def test_a_value_out_of_bounds_is_refused_by_name(
    client: OpenAI, field: str | None, options: dict[str, Any]
) -> None:
    error = refused(client, **options)
    assert isinstance(error, openai.UnprocessableEntityError)
    assert field_of(error) == field


@pytest.mark.parametrize("stream", [False, True])
def test_a_prompt_longer_than_the_context_is_refused_with_the_numbers(
    client: OpenAI, stream: bool
) -> None:
    long = [{"role": "user", "content": "rain " * 3000}]
    error = refused(client, messages=long, stream=stream)
    assert error.status_code == 413
    assert "2048" in str(error)

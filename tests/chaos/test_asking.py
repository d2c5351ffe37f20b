"""Requests of the load generator are valid."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from app.api.openai_schemas import ChatIn
from app.api.schemas import GenerateIn, JudgeIn
from tests.chaos.asking import STREAMED, Endpoint, ask_for, mark

SCHEMAS: dict[str, type[BaseModel]] = {
    "/generate": GenerateIn,
    "/judge": JudgeIn,
    "/v1/chat/completions": ChatIn,
}


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_request_is_valid_and_reproducible(seed: int, number: int) -> None:
    ask = ask_for(seed, number)
    assert ask == ask_for(seed, number)
    body = SCHEMAS[ask.path].model_validate(ask.body)
    assert getattr(body, "stream", False) == (ask.endpoint in STREAMED)


def test_no_two_requests_of_a_run_have_the_same_prompt() -> None:
    prompts = [ask_for(7, number).prompt for number in range(1000)]
    assert len(set(prompts)) == len(prompts)
    assert all(prompt.startswith(mark(7)) for prompt in prompts)
    assert not any(prompt.startswith(mark(77)) for prompt in prompts)


def test_every_endpoint_is_called_and_some_clients_disconnect() -> None:
    asks = [ask_for(1, number) for number in range(300)]
    assert set(Counter(ask.endpoint for ask in asks)) == set(Endpoint)
    assert 10 < sum(ask.leave_after is not None for ask in asks) < 100

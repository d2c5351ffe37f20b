"""`/v1` through the official `openai` client, on the real engine."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

import httpx
import pytest
from openai import AsyncOpenAI, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from app.domain.search import Mode
from tests.integration.server import Server

pytestmark = pytest.mark.engine

# Shorter than a prefix-cache block, so that every run computes the very same numbers.
MESSAGES = [
    {"role": "system", "content": "You are brief."},
    {"role": "user", "content": "Name some rivers."},
]
SMALL = {"n": 2, "branch": 2, "beam": 1, "depth": 1, "votes": 1}


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{server.url}/v1", api_key="none", max_retries=0) as client:
        yield client


def ask(client: OpenAI, **options: Any) -> ChatCompletion:
    wanted: dict[str, Any] = {"model": "actor", "messages": MESSAGES, "max_tokens": 8} | options
    completion = client.chat.completions.create(**wanted)
    assert isinstance(completion, ChatCompletion)
    return completion


def stream(client: OpenAI, **options: Any) -> list[ChatCompletionChunk]:
    wanted: dict[str, Any] = {"model": "actor", "messages": MESSAGES, "max_tokens": 8} | options
    return list(client.chat.completions.create(stream=True, **wanted))


def content(completion: ChatCompletion) -> str:
    text = completion.choices[0].message.content
    assert text is not None
    return text


def texts(chunks: Iterable[ChatCompletionChunk]) -> dict[int, str]:
    """The text of each choice of a stream."""
    pieces: defaultdict[int, str] = defaultdict(str)
    for chunk in chunks:
        for choice in chunk.choices:
            pieces[choice.index] += choice.delta.content or ""
    return dict(pieces)


def ends(chunks: Iterable[ChatCompletionChunk]) -> list[tuple[int, str]]:
    """How each choice of a stream ended."""
    choices = [choice for chunk in chunks for choice in chunk.choices]
    return [(choice.index, choice.finish_reason) for choice in choices if choice.finish_reason]


def test_models_are_the_roles_the_search_modes_and_the_served_versions(client: OpenAI) -> None:
    searched = [f"actor:{mode}" for mode in Mode]
    served = ["actor@0", "refiner@0"]
    assert [model.id for model in client.models.list()] == ["actor", "refiner", *searched, *served]


@pytest.mark.parametrize("model", ["actor", "refiner"])
@pytest.mark.parametrize("limit", ["max_tokens", "max_completion_tokens"])
def test_a_plain_answer(client: OpenAI, model: str, limit: str) -> None:
    wanted: dict[str, Any] = {"model": model, "messages": MESSAGES, limit: 5}
    completion = client.chat.completions.create(**wanted)
    assert isinstance(completion, ChatCompletion)
    [choice] = completion.choices
    assert choice.message.role == "assistant"
    assert choice.message.content
    assert choice.finish_reason == "length"
    assert completion.model == model
    assert completion.usage is not None
    assert completion.usage.completion_tokens == 5
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + 5
    assert completion.system_fingerprint == "actor@0+refiner@0"


def test_a_stream_is_the_same_answer_in_pieces(client: OpenAI) -> None:
    whole = ask(client, temperature=0)
    chunks = stream(client, temperature=0, stream_options={"include_usage": True})
    assert len(chunks) > 8
    assert chunks[0].choices[0].delta.role == "assistant"
    assert texts(chunks) == {0: content(whole)}
    assert ends(chunks) == [(0, "length")]
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_usage_comes_only_when_asked_for(client: OpenAI) -> None:
    assert all(chunk.usage is None for chunk in stream(client))


def test_several_choices(client: OpenAI) -> None:
    options = {"n": 2, "seed": 1, "temperature": 1.5}
    whole = ask(client, **options)
    assert [choice.index for choice in whole.choices] == [0, 1]
    assert whole.choices[0].message.content != whole.choices[1].message.content
    assert whole.usage is not None
    assert 8 < whole.usage.completion_tokens <= 16
    chunks = stream(client, **options)
    assert sorted(index for index, _ in ends(chunks)) == [0, 1]
    first, second = (texts(chunks)[index] for index in (0, 1))
    assert first
    assert second
    assert first != second


def test_a_stop_string_ends_the_text_before_it(client: OpenAI) -> None:
    whole = content(ask(client, temperature=0, max_tokens=24))
    stop = whole.split()[4]
    until = whole.partition(stop)[0]
    for given in (stop, [stop, "nowhere to be found"]):
        stopped = ask(client, temperature=0, max_tokens=24, stop=given)
        assert content(stopped) == until
        assert stopped.choices[0].finish_reason == "stop"
    chunks = stream(client, temperature=0, max_tokens=24, stop=stop)
    assert texts(chunks) == {0: until}
    assert ends(chunks) == [(0, "stop")]


def test_a_seed_makes_an_answer_reproducible(client: OpenAI) -> None:
    seeded = [content(ask(client, seed=seed, temperature=1.5)) for seed in (7, 7, 8, 2**63 - 1)]
    assert seeded[0] == seeded[1]
    assert seeded[0] != seeded[2]
    assert texts(stream(client, seed=7, temperature=1.5)) == {0: seeded[0]}


def test_temperature_and_top_p_narrow_the_choice(client: OpenAI) -> None:
    greedy = content(ask(client, temperature=0))
    assert content(ask(client, temperature=0, seed=5)) == greedy
    assert content(ask(client, top_p=1e-9)) == greedy
    assert len({content(ask(client, temperature=2, seed=seed)) for seed in range(3)}) == 3


def test_logprobs(client: OpenAI) -> None:
    """Greedy tokens are the likeliest, and a stream reports the same numbers as the whole."""
    options = {"temperature": 0, "logprobs": True, "top_logprobs": 3}
    whole = ask(client, **options)
    assert whole.choices[0].logprobs is not None
    positions = whole.choices[0].logprobs.content
    assert positions is not None
    assert len(positions) == 8
    assert "".join(position.token for position in positions) == content(whole)
    for position in positions:
        top = [token.logprob for token in position.top_logprobs]
        assert len(top) == 3
        assert top == sorted(top, reverse=True)
        assert position.logprob == top[0]
        assert 0 < sum(map(math.exp, top)) <= 1 + 1e-6
        assert bytes(position.bytes or ()).decode() == position.token
    choices = [chunk.choices[0] for chunk in stream(client, **options)]
    streamed = [choice.logprobs.content for choice in choices if choice.logprobs]
    assert [position for part in streamed for position in part or ()] == positions


def test_logprobs_without_alternatives(client: OpenAI) -> None:
    [choice] = ask(client, logprobs=True).choices
    assert choice.logprobs is not None
    assert choice.logprobs.content is not None
    assert all(position.logprob <= 0 for position in choice.logprobs.content)
    assert all(position.top_logprobs == [] for position in choice.logprobs.content)


def test_a_prefilled_answer_is_continued_word_for_word(client: OpenAI) -> None:
    begun = content(ask(client, temperature=0, max_tokens=4))
    continued = ask(
        client,
        temperature=0,
        max_tokens=4,
        messages=[*MESSAGES, {"role": "assistant", "content": begun}],
    )
    assert begun + content(continued) == content(ask(client, temperature=0))


def test_text_parts_and_the_developer_role_read_as_their_plain_selves(client: OpenAI) -> None:
    system, user = (message["content"] for message in MESSAGES)
    parts = [{"type": "text", "text": user[:5]}, {"type": "text", "text": user[5:]}]
    messages = [{"role": "developer", "content": system}, {"role": "user", "content": parts}]
    spelled = ask(client, temperature=0, messages=messages, extra_body={"priority": 5})
    plain = ask(client, temperature=0)
    assert content(spelled) == content(plain)
    assert spelled.usage == plain.usage


@pytest.mark.parametrize("mode", list(Mode))
def test_a_searched_answer(client: OpenAI, server: Server, mode: Mode) -> None:
    extra = {"search": SMALL, "budget": {"max_nodes": 2}, "include_tree": True}
    completion = ask(client, model=f"actor:{mode}", extra_body=extra)
    search = search_of(completion)
    answers = [node["text"] for node in search["tree"] if node["kind"] != "prompt"]
    assert content(completion) in answers
    assert search["usage"]["nodes"] == len(answers) <= 2
    assert (search["accepted"] is None) == (mode is Mode.GREEDY)
    assert completion.usage is not None
    assert completion.usage.completion_tokens == search["usage"]["completion_tokens"]
    stored = httpx.get(f"{server.url}/searches/{search['id']}").json()
    assert stored["mode"] == mode
    assert stored["response"] == content(completion)
    assert stored["tree"] == search["tree"]


@pytest.mark.parametrize("mode", [Mode.GREEDY, Mode.BFS])
def test_a_streamed_search_ends_with_what_it_found(
    client: OpenAI, server: Server, mode: Mode
) -> None:
    chunks = stream(
        client,
        model=f"actor:{mode}",
        stream_options={"include_usage": True},
        extra_body={"search": SMALL},
    )
    *_, last, usage = chunks
    stored = httpx.get(f"{server.url}/searches/{search_of(last)['id']}").json()
    assert texts(chunks) == {0: stored["response"]}
    assert ends(chunks) == [(0, last.choices[0].finish_reason)]
    assert usage.usage is not None
    assert usage.usage.completion_tokens == stored["usage"]["completion_tokens"]


def search_of(answer: ChatCompletion | ChatCompletionChunk) -> dict[str, Any]:
    """The extension of a searched answer."""
    assert answer.model_extra is not None
    search: dict[str, Any] = answer.model_extra["search"]
    return search


def test_constraints_go_with_a_search(client: OpenAI) -> None:
    capitals = {"id": "change_case:english_capital"}
    completion = ask(client, model="actor:greedy", extra_body={"constraints": [capitals]})
    [result] = search_of(completion)["constraints"]
    assert result["id"] == capitals["id"]
    assert result["satisfied"] == content(completion).isupper()


async def test_the_asynchronous_client(server: Server) -> None:
    async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key="none") as client:
        completions = client.chat.completions
        whole = await completions.create(
            model="actor",
            messages=[{"role": "user", "content": "Name some rivers."}],
            max_tokens=8,
            temperature=0,
        )
        chunks = await completions.create(
            model="actor",
            messages=[{"role": "user", "content": "Name some rivers."}],
            max_tokens=8,
            temperature=0,
            stream=True,
        )
        assert texts([chunk async for chunk in chunks]) == {0: content(whole)}

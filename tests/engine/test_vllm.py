"""The local vLLM engine."""

import asyncio
import math
from dataclasses import replace

import pytest

from app.domain.prompt import Message, Prompt
from app.domain.search import Mode, Sampling, SearchOptions, StopReason
from app.domain.tree import Tree
from app.engine.base import Call, Delta
from app.engine.vllm import VllmEngine
from app.errors import PromptTooLong
from app.roles.votes import NO, YES
from app.search.run import run_search
from benchmarks.forcing import forced
from tests.helpers.searching import request_for, roles

pytestmark = [pytest.mark.engine, pytest.mark.asyncio(loop_scope="package")]

STORY = (Message("user", "Write a long story about a river and its three bridges."),)


def call(messages: tuple[Message, ...] = STORY, max_tokens: int = 16, **options: object) -> Call:
    sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=max_tokens)
    return Call(messages, "actor@0", sampling, **options)  # type: ignore[arg-type]


async def test_a_prefill_is_continued(engine: VllmEngine) -> None:
    beginning = await engine.complete(call(max_tokens=12))
    whole = await engine.complete(call(max_tokens=24))
    opened = (*STORY, Message("assistant", beginning.text))
    rest = await engine.complete(call(opened, max_tokens=12))
    assert beginning.text + rest.text == whole.text


async def test_scores_are_probabilities_of_the_whole_vocabulary(engine: VllmEngine) -> None:
    opened = (Message("user", "Is water wet?"), Message("assistant", "Verdict:"))
    scores = await engine.score(call(opened), (*YES, *NO, " not one single token"))
    assert {" yes", " Yes", " no", " No"} <= set(scores) <= {*YES, *NO}
    assert 0 < sum(map(math.exp, scores.values())) < 1
    assert await engine.score(call(opened), (" not one single token",)) == {}
    likeliest = await engine.complete(call(opened, max_tokens=1, logprobs=20))
    top = {token.token: token.logprob for token in likeliest.logprobs[0].top}
    shared = set(top) & set(scores)
    assert shared
    assert all(scores[option] == pytest.approx(top[option], abs=1e-3) for option in shared)


async def test_a_cancelled_call_is_aborted_and_still_counted(engine: VllmEngine) -> None:
    deltas: list[Delta] = []
    enough = asyncio.Event()

    def on_delta(delta: Delta) -> None:
        deltas.append(delta)
        if len(deltas) == 2:  # the prompt, then the first token
            enough.set()

    running = asyncio.create_task(engine.complete(forced(call(max_tokens=900)), on_delta))
    await enough.wait()
    assert engine.unfinished == 1
    await asyncio.sleep(0.5)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert engine.unfinished == 0
    tokens = sum(delta.completion_tokens for delta in deltas)
    assert 1 < tokens < 900, "the tokens since the first report were not reported"
    assert deltas[0].prompt_tokens > 0


async def test_a_call_cancelled_before_it_is_scheduled_is_aborted(engine: VllmEngine) -> None:
    running = asyncio.create_task(engine.complete(forced(call(max_tokens=900))))
    await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert engine.unfinished == 0


async def test_a_shared_prefix_is_cached(engine: VllmEngine) -> None:
    long = Message("user", "Read this: " + "the river is wide and slow. " * 30)
    await engine.complete(call((long,), max_tokens=1))
    again = await engine.complete(call((long,), max_tokens=1))
    assert again.prompt_tokens - again.cached_tokens <= 32


async def test_a_prompt_beyond_the_context_is_rejected_with_the_token_counts(
    engine: VllmEngine,
) -> None:
    with pytest.raises(PromptTooLong, match=r"\d{4} tokens.*1024"):
        await engine.complete(call((Message("user", "river " * 1500),)))


async def test_an_answer_ends_where_the_context_ends(engine: VllmEngine) -> None:
    prompt = (Message("user", "river " * 990),)
    completion = await engine.complete(forced(call(prompt, max_tokens=500)))
    assert completion.finish_reason == "length"
    assert completion.prompt_tokens + completion.completion_tokens == engine.context_tokens


@pytest.mark.parametrize("mode", [Mode.BFS, Mode.BEST_OF_N])
async def test_same_seed_same_tree_also_under_load(engine: VllmEngine, mode: Mode) -> None:
    alone = await search(engine, mode)
    noise = [asyncio.create_task(engine.complete(call(max_tokens=200))) for _ in range(3)]
    loaded = await search(engine, mode)
    for task in noise:
        task.cancel()
    await asyncio.gather(*noise, return_exceptions=True)
    assert texts(loaded) == texts(alone)


async def search(engine: VllmEngine, mode: Mode) -> Tree:
    options = SearchOptions(n=3, branch=2, beam=1, depth=2, votes=2, early_stop=False)
    request = replace(
        request_for(mode, options, seed=11, max_tokens=16),
        prompt=Prompt.from_text("Describe a river in one sentence."),
    )
    result = await run_search(request, roles(engine))
    assert result.stop_reason in (StopReason.EXHAUSTED, StopReason.ACCEPTED)
    return result.tree


def texts(tree: Tree) -> list[tuple[str, list[str]]]:
    """The tree's texts and judgments, without times."""
    return [
        (node.text, [vote.critique for vote in node.judgment.votes] if node.judgment else [])
        for node in tree
    ]

"""The driver's accounts, seeds and events."""

import asyncio
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.checkpoint import Versions
from app.domain.search import Mode, SearchOptions, StopReason
from app.domain.tree import Node
from app.engine.base import Call
from app.search.base import (
    NodeAccepted,
    NodeCreated,
    NodeJudged,
    SearchEvent,
    SearchResult,
    TextDelta,
)
from tests.helpers.properties import calm
from tests.helpers.scripted_engine import ScriptedEngine
from tests.helpers.scripts import Decide, Part, Play, always, only, part_of, playing
from tests.helpers.searching import request_for, search
from tests.helpers.speaking import SpeakingEngine

BEFORE_ANY_ACCEPTANCE = 7
"""A seed with which the drawn votes below accept nothing, so that no search ends early."""


async def words(number: int) -> str:
    return f"text number {number}"


@pytest.mark.parametrize("mode", Mode)
async def test_usage_is_what_the_engine_counted(mode: Mode) -> None:
    engine = SpeakingEngine(Play(respond=words, rewrite=words))
    found = await search(engine, request_for(mode))
    usage = found.usage
    assert usage.prompt_tokens == engine.prompt_tokens
    assert usage.completion_tokens == engine.completion_tokens
    made = Counter(part_of(call) for call in engine.started)
    assert (usage.responses, usage.refinements) == (made[Part.RESPONSE], made[Part.REWRITE])
    assert usage.votes == usage.judgments == made[Part.CRITIQUE]
    assert usage.nodes == len(found.tree.responses) == usage.responses + usage.refinements


@pytest.mark.parametrize("chunks", ["every token", "at the end"])
async def test_usage_counts_what_cancelled_calls_had_generated(chunks: str) -> None:
    async def pace(call: Call, position: int) -> None:
        if part_of(call) is Part.RESPONSE and call is not engine.started[0] and position == 2:
            await asyncio.Future()

    engine = SpeakingEngine(Play(respond=words, decide=always), pace)
    request = request_for(Mode.BFS, seed=1)
    if chunks == "every token":
        request = replace(request, budget=replace(request.budget, max_tokens=1000))
    found = await search(engine, request)
    assert len(engine.aborted) == 2
    assert engine.completion_tokens == 3 + 2 * 2 + 3 + 1
    assert found.usage.completion_tokens == engine.completion_tokens
    assert found.usage.prompt_tokens == engine.prompt_tokens
    assert found.usage.responses == found.usage.nodes == 1


async def test_votes_of_a_repeated_round_are_counted() -> None:
    async def decide(text: str, number: int) -> bool:
        return number in (1, 3, 4)

    request = request_for(Mode.ITERATIVE, SearchOptions(votes=2, depth=1))
    found = await search(playing(decide=decide), request)
    assert found.usage.votes == 4
    assert found.usage.judgments == 1


@pytest.mark.parametrize("mode", Mode)
async def test_calls_go_to_the_pinned_versions_with_the_priority(mode: Mode) -> None:
    engine = playing()
    request = replace(request_for(mode), versions=Versions(3, 8), priority=5)
    await search(engine, request)
    models = {(part_of(call) is Part.RESPONSE, call.model) for call in engine.started}
    assert models <= {(True, "actor@3"), (False, "refiner@8")}
    assert {call.priority for call in engine.started} == {5}


async def test_rewrites_have_a_temperature_of_their_own() -> None:
    engine = playing()
    await search(engine, request_for(Mode.BFS))
    temperatures = {(part_of(call), call.sampling.temperature) for call in engine.started}
    assert temperatures == {(Part.RESPONSE, 0.9), (Part.CRITIQUE, 0.7), (Part.REWRITE, 0.7)}


def drawn_by_seed(delays: list[int]) -> ScriptedEngine:
    """An engine whose texts and verdicts follow from the seeds alone, its speed from `delays`."""
    order = iter(delays)

    async def script(call: Call) -> str:
        for _ in range(next(order, 0)):
            await asyncio.sleep(0)
        assert call.sampling.seed is not None
        texts = 1000 if part_of(call) is Part.CRITIQUE else 4
        return f"text {call.sampling.seed % texts}"

    def mostly_no(call: Call, option: str) -> float:
        return -0.36 if option == " no" else -1.2 if option == " yes" else -100.0

    return ScriptedEngine(script, mostly_no)


async def grown(mode: Mode, delays: list[int]) -> tuple[SearchResult, list[int | None]]:
    engine = drawn_by_seed(delays)
    options = SearchOptions(votes=5, accept_threshold=0.9, n=8)
    found = await search(engine, request_for(mode, options, seed=BEFORE_ANY_ACCEPTANCE))
    return found, [call.sampling.seed for call in engine.started]


def timeless(node: Node) -> Node:
    return replace(node, created_ms=0.0)


@calm
@given(st.sampled_from(Mode), st.lists(st.integers(0, 30), max_size=80))
async def test_the_same_seed_gives_the_same_tree_whichever_call_ends_first(
    mode: Mode, delays: list[int]
) -> None:
    even, _ = await grown(mode, [])
    uneven, _ = await grown(mode, delays)
    assert even.stop_reason is StopReason.EXHAUSTED
    assert list(map(timeless, uneven.tree)) == list(map(timeless, even.tree))
    assert uneven.best is not None
    assert even.best is not None
    assert uneven.best.id == even.best.id


@pytest.mark.parametrize("mode", Mode)
async def test_the_seeds_of_a_search_are_all_different_and_the_same_again(mode: Mode) -> None:
    _, seeds = await grown(mode, [])
    _, again = await grown(mode, [])
    assert seeds == again
    assert len(set(seeds)) == len(seeds)
    assert None not in seeds


async def test_without_a_seed_no_call_has_one() -> None:
    engine = playing()
    await search(engine, request_for(Mode.BFS))
    assert {call.sampling.seed for call in engine.started} == {None}


async def test_every_node_is_created_then_judged_and_the_accepted_one_comes_last() -> None:
    events: list[SearchEvent] = []
    engine = playing(decide=only("rewrite 2"))
    request = request_for(Mode.ITERATIVE, SearchOptions(votes=1, depth=5))
    found = await search(engine, request, on_event=events.append)
    kinds = [(type(event), event.node.id) for event in events if not isinstance(event, TextDelta)]
    assert kinds == [
        (NodeCreated, 1),
        (NodeJudged, 1),
        (NodeCreated, 2),
        (NodeJudged, 2),
        (NodeCreated, 3),
        (NodeJudged, 3),
        (NodeAccepted, 3),
    ]
    assert events[-1] == NodeAccepted(found.tree[3])


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("decide", [always, only("response 2"), only()])
async def test_accepted_is_reported_once_for_the_returned_node(mode: Mode, decide: Decide) -> None:
    events: list[SearchEvent] = []
    found = await search(playing(decide=decide), request_for(mode), on_event=events.append)
    accepted = [event.node for event in events if isinstance(event, NodeAccepted)]
    assert accepted == ([found.best] if found.stop_reason is StopReason.ACCEPTED else [])


async def test_events_cover_every_node_of_the_tree() -> None:
    events: list[SearchEvent] = []
    found = await search(playing(), request_for(Mode.DFS), on_event=events.append)
    created = [event.node for event in events if isinstance(event, NodeCreated)]
    judged = [event.node for event in events if isinstance(event, NodeJudged)]
    assert all(node.judgment is None for node in created)
    assert sorted(node.id for node in created) == [node.id for node in found.tree.responses]
    assert sorted(judged, key=lambda node: node.id) == found.tree.responses


async def test_a_streamed_greedy_answer_comes_token_by_token() -> None:
    events: list[SearchEvent] = []
    engine = SpeakingEngine(Play(respond=words))
    await search(engine, request_for(Mode.GREEDY, stream=True), on_event=events.append)
    assert [event.text for event in events if isinstance(event, TextDelta)] == [
        "text",
        " number",
        " 1",
    ]
    assert isinstance(events[-1], NodeCreated)
    assert events[-1].node.text == "text number 1"


@pytest.mark.parametrize(
    ("mode", "stream"), [(Mode.GREEDY, False), (Mode.BEST_OF_N, True), (Mode.BFS, True)]
)
async def test_other_searches_stream_no_text(mode: Mode, stream: bool) -> None:
    events: list[SearchEvent] = []
    await search(playing(), request_for(mode, stream=stream), on_event=events.append)
    assert not [event for event in events if isinstance(event, TextDelta)]


async def test_nodes_know_when_they_were_made_and_of_how_many_tokens() -> None:
    found = await search(playing(respond=words), request_for(Mode.BFS))
    responses = [node for node in found.tree.responses if node.depth == 1]
    assert [node.completion_tokens for node in responses] == [3, 3, 3]
    assert all(0 < node.created_ms <= found.timing_ms for node in found.tree.responses)

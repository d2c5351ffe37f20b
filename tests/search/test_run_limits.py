"""The driver and its limits: deadline, tokens, nodes."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.search import Budget, Mode, SearchOptions, StopReason
from app.domain.tree import Node, Tree
from app.engine.base import Call
from app.search.algorithms import BreadthFirst
from app.search.base import NodeCreated, SearchEvent
from tests.helpers.properties import calm
from tests.helpers.scripts import Part, Play, part_of, parts, playing
from tests.helpers.searching import request_for, search
from tests.helpers.speaking import SpeakingEngine

SOON = Budget(deadline_ms=250)
"""For scripts that reach the point where they hang long before it."""


async def ten_words(number: int) -> str:
    return " ".join(f"word{number}-{position}" for position in range(10))


@pytest.mark.parametrize("mode", Mode)
async def test_a_deadline_already_past_starts_nothing(mode: Mode) -> None:
    engine = playing()
    request = request_for(mode, budget=Budget(deadline_ms=1000))
    found = await search(engine, replace(request, started=request.started - 2))
    assert found.stop_reason is StopReason.DEADLINE
    assert found.best is None
    assert engine.started == []
    assert found.timing_ms >= 2000


async def ten_others(number: int) -> str:
    return " ".join(f"other{number}-{position}" for position in range(10))


async def stuck_after_four_words(call: Call, position: int) -> None:
    if position == 4:
        await asyncio.Future()


@pytest.mark.parametrize("mode", [Mode.GREEDY, Mode.BFS])
async def test_a_deadline_in_mid_response_gives_the_partial_text(mode: Mode) -> None:
    events: list[SearchEvent] = []
    engine = SpeakingEngine(Play(respond=ten_words), stuck_after_four_words)
    found = await search(engine, request_for(mode, budget=SOON), on_event=events.append)
    assert found.stop_reason is StopReason.DEADLINE
    assert found.best is not None
    assert found.best.text == "word1-0 word1-1 word1-2 word1-3"
    assert found.best.partial
    assert found.best.completion_tokens == 4
    assert found.best.judgment is None
    assert len(found.tree.responses) == found.usage.nodes == found.usage.responses == 1
    assert events == [NodeCreated(found.best)]
    assert engine.running == 0


async def test_the_longest_of_several_partial_responses_is_kept() -> None:
    async def pace(call: Call, position: int) -> None:
        number = engine.started.index(call) + 1
        if position == 2 * number:
            await asyncio.Future()

    engine = SpeakingEngine(Play(respond=ten_words), pace)
    options = SearchOptions(n=3, votes=1)
    found = await search(engine, request_for(Mode.BEST_OF_N, options, SOON, seed=1))
    assert [(node.id, len(node.text.split())) for node in found.tree.responses] == [(3, 6)]


async def test_a_deadline_before_the_first_token_gives_no_node() -> None:
    async def pace(call: Call, position: int) -> None:
        await asyncio.Future()

    found = await search(SpeakingEngine(Play(), pace), request_for(Mode.GREEDY, budget=SOON))
    assert found.best is None
    assert found.usage.nodes == 0


async def test_a_deadline_in_mid_judging_gives_the_best_so_far() -> None:
    async def decide(text: str, number: int) -> bool:
        return False if text == "response 2" else await asyncio.Future()

    engine = playing(decide=decide)
    found = await search(engine, request_for(Mode.BFS, budget=SOON))
    assert found.stop_reason is StopReason.DEADLINE
    assert len(found.tree.responses) == 3
    assert found.best == found.tree[2]
    assert parts(engine.aborted) == {Part.CRITIQUE: 2}
    assert engine.running == 0


async def test_a_deadline_in_mid_rewriting_gives_the_best_response() -> None:
    async def rewrite(number: int) -> str:
        return await asyncio.Future()

    engine = playing(rewrite=rewrite)
    found = await search(engine, request_for(Mode.DFS, budget=SOON))
    assert found.stop_reason is StopReason.DEADLINE
    assert found.best == found.tree[1]
    assert not found.best.partial
    assert parts(engine.aborted) == {Part.REWRITE: 3}


async def test_a_deadline_that_is_not_reached_changes_nothing() -> None:
    found = await search(playing(), request_for(Mode.BFS, budget=Budget(deadline_ms=60_000)))
    assert found.stop_reason is StopReason.EXHAUSTED


@calm
@given(
    mode=st.sampled_from(Mode),
    max_tokens=st.integers(1, 120),
    votes=st.integers(1, 3),
    early_stop=st.booleans(),
)
async def test_the_token_budget_is_exceeded_by_at_most_one_token_per_running_call(
    mode: Mode, max_tokens: int, votes: int, early_stop: bool
) -> None:
    engine = SpeakingEngine(Play(respond=ten_words, rewrite=ten_others))
    options = SearchOptions(branch=2, votes=votes, early_stop=early_stop)
    request = request_for(mode, options, Budget(max_tokens=max_tokens))
    found = await search(engine, request)
    assert found.usage.completion_tokens == engine.completion_tokens
    assert found.usage.completion_tokens <= max_tokens + engine.peak
    if found.stop_reason is StopReason.MAX_TOKENS:
        assert found.usage.completion_tokens >= max_tokens
    assert engine.running == 0


@pytest.mark.parametrize("max_tokens", range(1, 10))
async def test_greedy_is_clipped_exactly(max_tokens: int) -> None:
    engine = SpeakingEngine(Play(respond=ten_words))
    found = await search(engine, request_for(Mode.GREEDY, budget=Budget(max_tokens=max_tokens)))
    assert found.stop_reason is StopReason.MAX_TOKENS
    assert found.best is not None
    assert found.best.text.split() == (await ten_words(1)).split()[:max_tokens]
    assert found.best.partial
    assert found.best.completion_tokens == found.usage.completion_tokens == max_tokens


async def test_the_requests_own_length_limit_makes_no_partial_text() -> None:
    engine = SpeakingEngine(Play(respond=ten_words))
    request = request_for(Mode.GREEDY, budget=Budget(max_tokens=100), max_tokens=5)
    found = await search(engine, request)
    assert found.best is not None
    assert len(found.best.text.split()) == 5
    assert not found.best.partial
    assert found.stop_reason is StopReason.EXHAUSTED


async def test_calls_report_every_token_only_under_a_token_budget() -> None:
    engine = playing()
    await search(engine, request_for(Mode.BFS, budget=Budget(max_tokens=1000)))
    assert {call.chunk_tokens for call in engine.started} == {1}
    engine = playing()
    await search(engine, request_for(Mode.BFS))
    assert min(call.chunk_tokens for call in engine.started) > 10_000


@pytest.mark.parametrize("mode", [Mode.BFS, Mode.DFS, Mode.ITERATIVE, Mode.BEST_OF_N])
async def test_max_nodes_is_kept_and_named(mode: Mode) -> None:
    found = await search(playing(), request_for(mode, budget=Budget(max_nodes=2)))
    assert len(found.tree.responses) == 2
    assert found.stop_reason is StopReason.MAX_NODES


@pytest.mark.parametrize(
    ("mode", "all_nodes"),
    [(Mode.BFS, 3 + 6 + 6), (Mode.DFS, 3 + 9 + 27), (Mode.ITERATIVE, 3), (Mode.BEST_OF_N, 5)],
)
async def test_the_whole_tree_is_exhausted_and_one_node_less_is_max_nodes(
    mode: Mode, all_nodes: int
) -> None:
    whole = await search(playing(), request_for(mode, budget=Budget(max_nodes=all_nodes)))
    less = await search(playing(), request_for(mode, budget=Budget(max_nodes=all_nodes - 1)))
    assert len(whole.tree.responses) == all_nodes
    assert whole.stop_reason is StopReason.EXHAUSTED
    assert len(less.tree.responses) == all_nodes - 1
    assert less.stop_reason is StopReason.MAX_NODES


@calm
@given(st.sampled_from(Mode), st.integers(0, 20))
async def test_a_node_budget_only_ends_the_same_search_earlier(mode: Mode, max_nodes: int) -> None:
    options = SearchOptions(branch=2, votes=1)
    whole = await search(playing(), request_for(mode, options))
    short = await search(playing(), request_for(mode, options, Budget(max_nodes=max_nodes)))
    nodes = [(node.id, node.parent, node.text) for node in whole.tree.responses]
    assert [(n.id, n.parent, n.text) for n in short.tree.responses] == nodes[:max_nodes]
    ended_early = max_nodes < len(nodes)
    assert short.stop_reason is (StopReason.MAX_NODES if ended_early else StopReason.EXHAUSTED)


async def test_the_algorithm_selects_once_per_step(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    select = BreadthFirst.select

    def counted(self: BreadthFirst, tree: Tree, budget: Budget) -> list[Node]:
        asked.append(len(tree.responses))
        return select(self, tree, budget)

    monkeypatch.setattr(BreadthFirst, "select", counted)
    options = SearchOptions(branch=2, beam=1, depth=3, votes=1)
    await search(playing(), request_for(Mode.BFS, options, Budget(max_nodes=100)))
    assert asked == [0, 2, 4, 6]


async def test_the_length_of_a_call_is_limited_by_what_is_left() -> None:
    engine = SpeakingEngine(Play(respond=ten_words, rewrite=ten_others))
    await search(engine, request_for(Mode.ITERATIVE, budget=Budget(max_tokens=25)))
    limits = [
        call.sampling.max_tokens for call in engine.started if part_of(call) is not Part.CRITIQUE
    ]
    response_and_vote = 10 + 3 + 1
    assert limits == [25, 25 - response_and_vote]

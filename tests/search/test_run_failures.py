"""The driver when model calls fail."""

import asyncio

import pytest

from app.domain.search import Mode, SearchOptions, StopReason
from app.errors import EngineError, EngineUnavailable, PromptTooLong
from tests.helpers.scripts import Part, Say, numbered_response, numbered_rewrite, parts, playing
from tests.helpers.searching import request_for, search

BROKEN = EngineError("this call failed")
GONE = EngineUnavailable("the engine died")


def failing(*numbers: int, otherwise: Say = numbered_response) -> Say:
    """Calls of these numbers fail."""

    async def say(number: int) -> str:
        if number in numbers:
            raise BROKEN
        return await otherwise(number)

    return say


@pytest.mark.parametrize("mode", [Mode.BFS, Mode.DFS])
async def test_a_failed_response_only_costs_itself(mode: Mode) -> None:
    engine = playing(respond=failing(2))
    options = SearchOptions(branch=3, beam=3, depth=2, votes=1)
    found = await search(engine, request_for(mode, options))
    texts = [node.text for node in found.tree.responses if node.depth == 1]
    assert texts == ["response 1", "response 3"]
    assert len(found.tree.responses) == 2 + 2 * 3
    assert all(node.judgment for node in found.tree.responses)


async def test_a_failed_candidate_is_replaced() -> None:
    engine = playing(respond=failing(2))
    found = await search(engine, request_for(Mode.BEST_OF_N, SearchOptions(n=3, votes=1)))
    texts = [node.text for node in found.tree.responses]
    assert texts == ["response 1", "response 3", "response 4"]
    assert found.usage.responses == 3


async def test_a_replacement_that_fails_too_does_not_cost_the_others() -> None:
    engine = playing(respond=failing(2, 4))
    found = await search(engine, request_for(Mode.BEST_OF_N, SearchOptions(n=3, votes=1)))
    assert [node.id for node in found.tree.responses] == [1, 3]
    assert found.stop_reason is StopReason.EXHAUSTED
    assert found.best == found.tree[1]


@pytest.mark.parametrize("mode", [Mode.BFS, Mode.DFS])
async def test_a_failed_judgment_only_costs_that_node(mode: Mode) -> None:
    async def decide(text: str, number: int) -> bool:
        if text == "response 1":
            raise BROKEN
        return False

    options = SearchOptions(branch=2, beam=2, depth=2, votes=1)
    found = await search(playing(decide=decide), request_for(mode, options))
    assert found.tree[1].judgment is None
    assert {node.parent for node in found.tree.responses} == {0, 2}
    assert found.best == found.tree[2]


async def test_a_judgment_that_failed_is_made_again_for_the_next_node_with_the_text() -> None:
    async def respond(number: int) -> str:
        return "the same" if number < 3 else "another"

    async def rewrite(number: int) -> str:
        return "the same"

    async def decide(text: str, number: int) -> bool:
        if text == "the same" and number == 1:
            raise BROKEN
        return False

    engine = playing(respond=respond, rewrite=rewrite, decide=decide)
    options = SearchOptions(branch=3, beam=1, depth=2, votes=1)
    found = await search(engine, request_for(Mode.BFS, options))
    assert [node.id for node in found.tree.responses if node.judgment] == [3, 4, 5, 6]
    assert parts(engine.started)[Part.CRITIQUE] == 3, "one failed, for another, one again"


@pytest.mark.parametrize("mode", Mode)
async def test_a_search_of_which_every_response_fails_fails(mode: Mode) -> None:
    engine = playing(respond=failing(*range(100)))
    with pytest.raises(EngineError, match="this call failed"):
        await search(engine, request_for(mode))
    assert engine.running == 0


async def test_a_search_of_which_every_judgment_fails_fails() -> None:
    async def decide(text: str, number: int) -> bool:
        raise BROKEN

    with pytest.raises(EngineError, match="this call failed"):
        await search(playing(decide=decide), request_for(Mode.BFS))


@pytest.mark.parametrize("mode", [Mode.ITERATIVE, Mode.BFS, Mode.DFS])
async def test_when_every_rewrite_fails_the_best_response_is_kept(mode: Mode) -> None:
    async def rewrite(number: int) -> str:
        raise PromptTooLong("the conversation is too long")

    found = await search(playing(rewrite=rewrite), request_for(mode))
    assert found.best == found.tree[1]
    assert found.stop_reason is StopReason.EXHAUSTED


async def test_a_failed_rewrite_only_costs_itself() -> None:
    engine = playing(rewrite=failing(1, 2, 3, otherwise=numbered_rewrite))
    options = SearchOptions(branch=2, beam=2, depth=2, votes=1)
    found = await search(engine, request_for(Mode.BFS, options))
    assert [node.text for node in found.tree.responses if node.depth == 2] == ["rewrite 4"]


@pytest.mark.parametrize("mode", [Mode.BEST_OF_N, Mode.BFS, Mode.DFS])
async def test_a_dead_engine_fails_the_search_at_once(mode: Mode) -> None:
    async def respond(number: int) -> str:
        if number == 2:
            raise GONE
        return await asyncio.Future()

    engine = playing(respond=respond)
    with pytest.raises(EngineUnavailable):
        await search(engine, request_for(mode))
    assert engine.running == 0


async def test_a_dead_engine_fails_the_search_though_there_are_responses() -> None:
    async def rewrite(number: int) -> str:
        raise GONE

    with pytest.raises(EngineUnavailable):
        await search(playing(rewrite=rewrite), request_for(Mode.BFS))


async def test_a_dead_engine_in_mid_judging_cancels_the_other_votes() -> None:
    voting = asyncio.Barrier(3 * 3)

    async def decide(text: str, number: int) -> bool:
        await voting.wait()
        if text == "response 3" and number == 1:
            raise GONE
        return await asyncio.Future()

    engine = playing(decide=decide)
    with pytest.raises(EngineUnavailable):
        await search(engine, request_for(Mode.BFS, SearchOptions(branch=3, votes=5)))
    assert parts(engine.aborted) == {Part.CRITIQUE: 9}
    assert engine.running == 0

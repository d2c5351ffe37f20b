"""The driver: what runs together, what ends a search, and what is cancelled then."""

import asyncio

import pytest

from app.domain.judgment import ConstraintResult
from app.domain.prompt import Constraint
from app.domain.search import Budget, Mode, SearchOptions, StopReason
from tests.helpers.judgments import result
from tests.helpers.scripts import (
    Part,
    always,
    numbered_response,
    numbered_rewrite,
    only,
    part_of,
    parts,
    playing,
)
from tests.helpers.searching import Checks, request_for, search

REFINING = (Mode.ITERATIVE, Mode.BFS, Mode.DFS)


async def test_all_children_of_a_step_run_at_once() -> None:
    responses, rewrites = asyncio.Barrier(3), asyncio.Barrier(6)

    async def respond(number: int) -> str:
        await responses.wait()
        return f"response {number}"

    async def rewrite(number: int) -> str:
        await rewrites.wait()
        return f"rewrite {number}"

    options = SearchOptions(branch=3, beam=2, depth=2, votes=1)
    found = await search(playing(respond=respond, rewrite=rewrite), request_for(Mode.BFS, options))
    assert len(found.tree.responses) == 3 + 6


async def test_a_child_is_judged_while_its_sibling_is_still_being_written() -> None:
    judged = asyncio.Event()

    async def respond(number: int) -> str:
        if number == 2:
            await judged.wait()
        return f"response {number}"

    async def decide(text: str, number: int) -> bool:
        judged.set()
        return False

    engine = playing(respond=respond, decide=decide)
    found = await search(engine, request_for(Mode.BEST_OF_N, SearchOptions(n=2, votes=1)))
    assert [node.judgment is not None for node in found.tree.responses] == [True, True]


@pytest.mark.parametrize("mode", [Mode.BFS, Mode.DFS])
async def test_the_first_accepted_response_cancels_all_others_in_the_engine(mode: Mode) -> None:
    async def respond(number: int) -> str:
        if number == 1:
            await asyncio.Event().wait()
        return f"response {number}"

    async def decide(text: str, number: int) -> bool:
        if text == "response 2":
            await asyncio.Event().wait()
        return True

    engine = playing(respond=respond, decide=decide)
    found = await search(engine, request_for(mode))
    assert found.stop_reason is StopReason.ACCEPTED
    assert found.best is not None
    assert (found.best.id, found.best.text) == (3, "response 3")
    assert parts(engine.aborted) == {Part.RESPONSE: 1, Part.CRITIQUE: 1}
    assert engine.running == 0


@pytest.mark.parametrize("mode", [Mode.BFS, Mode.DFS])
async def test_the_first_accepted_rewrite_cancels_all_others_in_the_engine(mode: Mode) -> None:
    async def rewrite(number: int) -> str:
        if number != 2:
            await asyncio.Event().wait()
        return f"rewrite {number}"

    engine = playing(rewrite=rewrite, decide=only("rewrite 2"))
    found = await search(engine, request_for(mode, SearchOptions(branch=2, beam=2, votes=1)))
    assert found.best is not None
    assert found.best.text == "rewrite 2"
    assert {part_of(call) for call in engine.aborted} == {Part.REWRITE}
    assert len(engine.aborted) == (3 if mode is Mode.BFS else 1)
    assert engine.running == 0


async def test_iterative_refinement_stops_at_the_accepted_rewrite() -> None:
    engine = playing(decide=only("rewrite 2"))
    found = await search(engine, request_for(Mode.ITERATIVE, SearchOptions(depth=6, votes=1)))
    assert [node.text for node in found.tree.responses] == ["response 1", "rewrite 1", "rewrite 2"]
    assert [node.parent for node in found.tree.responses] == [0, 1, 2]
    assert found.best == found.tree[3]
    assert found.stop_reason is StopReason.ACCEPTED


async def test_every_response_is_rewritten_from_its_own_text() -> None:
    engine = playing()
    options = SearchOptions(branch=1, beam=1, depth=3, votes=1)
    await search(engine, request_for(Mode.BFS, options))
    rewrites = [call for call in engine.started if part_of(call) is Part.REWRITE]
    assert ["response 1" in call.messages[0].content for call in rewrites] == [True, False]
    assert ["rewrite 1" in call.messages[0].content for call in rewrites] == [False, True]


@pytest.mark.parametrize(
    ("mode", "nodes"), [(Mode.ITERATIVE, 3), (Mode.BFS, 2 + 2 + 2), (Mode.DFS, 2 + 4 + 8)]
)
async def test_without_early_stop_everything_is_expanded(mode: Mode, nodes: int) -> None:
    options = SearchOptions(branch=2, beam=1, depth=3, votes=5, early_stop=False)
    engine = playing(decide=always)
    found = await search(engine, request_for(mode, options))
    assert len(found.tree.responses) == nodes
    assert found.usage.votes == 5 * nodes
    assert found.stop_reason is StopReason.ACCEPTED
    assert found.best == found.tree[1]
    assert engine.aborted == []


@pytest.mark.parametrize("mode", [*REFINING, Mode.BEST_OF_N])
async def test_a_search_that_finds_nothing_acceptable_is_exhausted(mode: Mode) -> None:
    found = await search(playing(), request_for(mode))
    assert found.stop_reason is StopReason.EXHAUSTED
    assert found.best == found.tree[1]


async def test_the_best_node_of_a_whole_tree_is_returned() -> None:
    async def decide(text: str, number: int) -> bool:
        return text == "rewrite 2" and number <= 2

    options = SearchOptions(branch=2, beam=1, depth=3, votes=5, early_stop=False)
    found = await search(playing(decide=decide), request_for(Mode.BFS, options))
    assert found.best is not None
    assert found.best.text == "rewrite 2"
    assert found.best.judgment is not None
    assert found.best.judgment.value == 0.4


async def test_greedy_without_constraints_is_not_judged() -> None:
    engine = playing()
    found = await search(engine, request_for(Mode.GREEDY))
    assert parts(engine.started) == {Part.RESPONSE: 1}
    assert found.best is not None
    assert found.best.judgment is None
    assert found.stop_reason is StopReason.EXHAUSTED


@pytest.mark.parametrize(
    ("satisfied", "stop_reason"), [(True, StopReason.ACCEPTED), (False, StopReason.EXHAUSTED)]
)
async def test_greedy_with_constraints_is_judged(satisfied: bool, stop_reason: StopReason) -> None:
    request = request_for(Mode.GREEDY, constraints=(Constraint("some:constraint"),))
    checks = Checks(lambda _: (result(satisfied),))
    found = await search(playing(decide=always), request, checks)
    assert found.best is not None
    assert found.best.accepted is satisfied
    assert found.stop_reason is stop_reason


async def test_a_failed_constraint_keeps_the_search_going_although_the_refiner_says_yes() -> None:
    def check(text: str) -> tuple[ConstraintResult, ...]:
        return (result(text == "rewrite 1"),)

    request = request_for(Mode.ITERATIVE, constraints=(Constraint("some:constraint"),))
    found = await search(playing(decide=always), request, Checks(check))
    assert [node.accepted for node in found.tree.responses] == [False, True]


async def test_identical_texts_are_judged_once() -> None:
    async def respond(number: int) -> str:
        return "the same" if number != 2 else "another"

    checks = Checks()
    engine = playing(respond=respond)
    request = request_for(Mode.BEST_OF_N, SearchOptions(n=4, votes=3))
    found = await search(engine, request, checks)
    assert sorted(checks.checked) == ["another", "the same"]
    assert parts(engine.started) == {Part.RESPONSE: 4, Part.CRITIQUE: 2 * 3}
    assert found.usage.judgments == 2
    judgments = [node.judgment for node in found.tree.responses]
    assert judgments[0] is judgments[2] is judgments[3]
    assert None not in judgments


async def test_identical_texts_of_different_steps_are_judged_once() -> None:
    async def same(number: int) -> str:
        return "the same"

    engine = playing(respond=same, rewrite=same)
    found = await search(engine, request_for(Mode.ITERATIVE, SearchOptions(depth=4, votes=1)))
    assert len(found.tree.responses) == 4
    assert parts(engine.started)[Part.CRITIQUE] == 1


@pytest.mark.parametrize("mode", Mode)
async def test_a_client_disconnect_cancels_the_search(mode: Mode) -> None:
    stuck = asyncio.Event()

    async def hang(number: int) -> str:
        stuck.set()
        return await asyncio.Future()

    refines = mode in REFINING
    engine = playing(
        respond=numbered_response if refines else hang,
        rewrite=hang if refines else numbered_rewrite,
    )
    client = asyncio.create_task(search(engine, request_for(mode)))
    await stuck.wait()
    client.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client
    assert engine.running == 0
    assert engine.aborted


async def test_a_client_disconnect_during_judging_cancels_the_votes() -> None:
    voting = asyncio.Barrier(3 * 3 + 1)

    async def decide(text: str, number: int) -> bool:
        await voting.wait()
        return await asyncio.Future()

    engine = playing(decide=decide)
    request = request_for(Mode.BFS, SearchOptions(branch=3, votes=5), Budget())
    client = asyncio.create_task(search(engine, request))
    await voting.wait()
    client.cancel()
    with pytest.raises(asyncio.CancelledError):
        await client
    assert engine.running == 0
    assert parts(engine.aborted) == {Part.CRITIQUE: 9}

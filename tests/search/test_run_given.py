"""Searches that repair a given response: it is judged first, and rewritten if it is rejected."""

from dataclasses import replace

import pytest

from app.domain.search import Budget, Mode, SearchOptions, StopReason
from app.domain.tree import NodeKind, given_response
from app.engine.base import Call
from app.errors import EngineError
from app.search.base import SearchRequest
from tests.helpers.scripted_engine import ScriptedEngine
from tests.helpers.scripts import Part, only, parts, playing, verdict_of_critique
from tests.helpers.searching import request_for, search

GIVEN = "what was said"
SHAPE = SearchOptions(n=3, branch=2, beam=1, depth=3, votes=1)


def repairing(
    mode: Mode, options: SearchOptions = SHAPE, nodes: int | None = None
) -> SearchRequest:
    """A request that begins with the given response."""
    request = request_for(mode, options, Budget(max_nodes=nodes))
    return replace(request, root=given_response(GIVEN))


@pytest.mark.parametrize("mode", Mode)
async def test_every_mode_judges_it_and_lets_the_refiner_rewrite_it(mode: Mode) -> None:
    engine = playing()
    found = await search(engine, repairing(mode))
    assert parts(engine.started)[Part.RESPONSE] == 0
    assert {node.kind for node in found.tree.responses} == {NodeKind.REFINEMENT}
    assert found.tree.root.text == GIVEN
    assert all(node.judgment is not None for node in found.tree)


async def test_greedy_rewrites_it_once() -> None:
    found = await search(playing(), repairing(Mode.GREEDY))
    assert [node.parent for node in found.tree.responses] == [0]


@pytest.mark.parametrize("mode", Mode)
async def test_one_that_is_accepted_is_the_answer(mode: Mode) -> None:
    engine = playing(decide=only(GIVEN))
    found = await search(engine, repairing(mode))
    assert found.stop_reason is StopReason.ACCEPTED
    assert found.best is not None
    assert (found.best.text, found.usage.nodes, found.usage.judgments) == (GIVEN, 0, 1)


async def test_without_early_stop_it_is_rewritten_all_the_same() -> None:
    options = replace(SHAPE, early_stop=False)
    found = await search(playing(decide=only(GIVEN)), repairing(Mode.GREEDY, options))
    assert found.usage.nodes == 1
    assert found.best == found.tree.root


async def test_an_accepted_rewrite_is_better_than_it() -> None:
    found = await search(playing(decide=only("rewrite 2")), repairing(Mode.BFS))
    assert found.best is not None
    assert found.best.text == "rewrite 2"


async def test_it_does_not_count_against_the_budget_of_nodes() -> None:
    found = await search(playing(), repairing(Mode.ITERATIVE, nodes=2))
    assert (found.usage.nodes, found.stop_reason) == (2, StopReason.MAX_NODES)


async def test_a_judge_that_fails_ends_the_search() -> None:
    async def broken(call: Call) -> str:
        raise EngineError("the judge has lost its voice")

    with pytest.raises(EngineError, match="lost its voice"):
        await search(ScriptedEngine(broken, verdict_of_critique), repairing(Mode.BFS))

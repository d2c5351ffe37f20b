"""Searches that judge by a quick verdict: critiques come late, once, and only for rewrites."""

import pytest

from app.domain.search import Mode, QuickVerdictRule, SearchOptions, StopReason
from tests.helpers.judgments import result
from tests.helpers.scripts import Part, always, part_of, parts, reading_yes
from tests.helpers.searching import Checks, request_for, search

SHAPE = SearchOptions(branch=3, beam=2, depth=2, votes=5, quick_verdict=QuickVerdictRule(0.2, 0.8))
REFINING = (Mode.ITERATIVE, Mode.BFS, Mode.DFS)


@pytest.mark.parametrize("mode", REFINING)
async def test_only_what_is_rewritten_gets_a_critique_and_only_one(mode: Mode) -> None:
    engine = reading_yes(0.1)
    found = await search(engine, request_for(mode, SHAPE))
    expanded = {node.parent for node in found.tree.responses if node.parent}
    explained = {
        node.id
        for node in found.tree.responses
        if node.judgment is not None and node.judgment.late_critique is not None
    }
    assert explained == expanded
    assert parts(engine.started)[Part.CRITIQUE] == len(expanded)
    assert found.usage.votes == 0
    assert found.usage.judgments == found.usage.nodes
    assert not any(node.accepted for node in found.tree)


async def test_the_rewrite_prompt_has_the_late_critique() -> None:
    engine = reading_yes(0.1)
    await search(engine, request_for(Mode.ITERATIVE, SHAPE))
    [rewrite] = [call for call in engine.started if part_of(call) is Part.REWRITE]
    assert "it falls short" in rewrite.messages[0].content


async def test_a_failed_constraint_is_rewritten_without_calling_the_judge() -> None:
    checks = Checks(lambda text: (result(text.startswith("rewrite"), "begin with rewrite"),))
    engine = reading_yes(0.9)
    found = await search(engine, request_for(Mode.BFS, SHAPE), checks)
    assert found.stop_reason is StopReason.ACCEPTED
    assert parts(engine.started)[Part.CRITIQUE] == 0
    rewrite = next(call for call in engine.started if part_of(call) is Part.REWRITE)
    assert "begin with rewrite" in rewrite.messages[0].content


@pytest.mark.parametrize("mode", REFINING)
async def test_a_clear_yes_ends_the_search_without_a_vote(mode: Mode) -> None:
    engine = reading_yes(0.9)
    found = await search(engine, request_for(mode, SHAPE))
    assert found.stop_reason is StopReason.ACCEPTED
    assert set(parts(engine.started)) == {Part.RESPONSE}
    assert found.usage.votes == 0


async def test_best_of_n_compares_votes_and_takes_no_quick_verdict() -> None:
    engine = reading_yes(0.1, always)
    found = await search(engine, request_for(Mode.BEST_OF_N, SHAPE))
    assert [node.judgment.quick_verdict for node in found.tree.responses if node.judgment] == [
        None
    ] * SHAPE.n
    assert found.usage.votes == SHAPE.n * SHAPE.votes


async def test_without_a_quick_verdict_no_critique_is_added() -> None:
    engine = reading_yes(0.1)
    found = await search(engine, request_for(Mode.BFS, SearchOptions(votes=1, depth=2)))
    judgments = [node.judgment for node in found.tree.responses]
    assert all(judgment and judgment.late_critique is None for judgment in judgments)
    assert parts(engine.started)[Part.CRITIQUE] == len(judgments) == found.usage.votes

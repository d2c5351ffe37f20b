"""The judging stage and its options."""

from itertools import count

import pytest

from app.domain.iteration import DataOptions, Stage
from app.engine.base import Call
from tests.helpers.iterating import OPTIONS, PROMPTS, World
from tests.helpers.scripted_engine import ScriptedEngine
from tests.helpers.scripts import FINE, SHORT, Part, part_of, verdict_of_critique
from tests.helpers.searching import Checks
from worker.stages.judge import judge


def of_two_minds() -> ScriptedEngine:
    """An engine whose votes take turns, so that two of them always tie."""
    votes = count()

    async def script(call: Call) -> str:
        return FINE if next(votes) % 2 else SHORT

    return ScriptedEngine(script, verdict_of_critique)


@pytest.mark.parametrize("ties", [0, 2])
async def test_tie_is_judged_again_up_to_the_configured_number(world: World, ties: int) -> None:
    engine = world.engine = of_two_minds()
    world.checks = Checks()
    data = OPTIONS.data.model_copy(update={"votes": 2, "ties": ties})
    stage = await world.stage(Stage.JUDGE, OPTIONS.model_copy(update={"data": data}))
    [[judged]] = await judge(stage, PROMPTS[:1], (("Tea is warm.",),))
    critiques = [call for call in engine.started if part_of(call) is Part.CRITIQUE]
    assert len(critiques) == 2 * (1 + ties)
    assert judged.judgment.value == 0.5


def test_repairing_search_has_the_tie_option() -> None:
    assert DataOptions(ties=1).search.ties == 1

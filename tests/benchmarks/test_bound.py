"""The forced search does the whole work, and what it records can be replayed as it happened."""

from collections import Counter

from app.domain.search import Mode, SearchOptions
from app.search.run import run_search
from benchmarks.bound import ForcingEngine, Recorded
from benchmarks.forcing import ForcedCall
from tests.helpers.scripts import Play, always
from tests.helpers.searching import request_for, roles
from tests.helpers.speaking import SpeakingEngine

VOTES = 3


async def _forced_bfs() -> ForcingEngine:
    """A full search of a judge that would accept everything at once."""
    engine = ForcingEngine(SpeakingEngine(Play(decide=always)))
    options = SearchOptions(branch=3, beam=2, depth=3, votes=VOTES, early_stop=False)
    result = await run_search(request_for(Mode.BFS, options), roles(engine))
    assert result.usage.nodes == 3 + 6 + 6
    assert result.best is not None
    assert not result.best.accepted
    return engine


def _shape(recorded: Recorded) -> tuple[bool, tuple[object, ...]]:
    return bool(recorded.options), tuple(map(_shape, recorded.then))


VOTE = (False, ((True, ()),))
NODE = (False, (VOTE,) * VOTES)


async def test_level_depends_on_previous_level() -> None:
    engine = await _forced_bfs()

    shapes = [Counter(map(_shape, step)) for step in engine.steps]

    assert shapes == [{NODE: 3}, {NODE: 6}, {NODE: 6}]


async def test_calls_run_to_their_full_length() -> None:
    engine = await _forced_bfs()

    for step in engine.steps:
        for recorded in step:
            assert isinstance(recorded.call, ForcedCall)
            assert recorded.call.sampling.stop == ()

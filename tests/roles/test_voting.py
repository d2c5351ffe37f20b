import asyncio
import math
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.judgment import Judgment, Vote
from app.errors import EngineError
from app.roles.votes import collect_until_decided, collect_votes, fewest_to_decide
from tests.helpers.judgments import vote
from tests.helpers.properties import calm

FIVE = list(product([False, True], repeat=5))
NEVER = math.inf


class Voters:
    """Casts given verdicts; each ends after its number of event loop turns, or never."""

    def __init__(self, verdicts: tuple[bool, ...], turns: list[float] | None = None) -> None:
        self._verdicts = verdicts
        self._turns = turns or [0] * len(verdicts)
        self.started: list[int] = []
        self.running = 0
        self.stuck = asyncio.Event()

    async def __call__(self, position: int) -> Vote:
        self.started.append(position)
        self.running += 1
        try:
            if self._turns[position] == NEVER:
                self.stuck.set()
                await asyncio.Future()
            for _ in range(int(self._turns[position])):
                await asyncio.sleep(0)
        finally:
            self.running -= 1
        return vote(self._verdicts[position], f"vote {position}")


async def test_all_votes_are_cast_at_once_and_come_in_order() -> None:
    barrier = asyncio.Barrier(4)

    async def cast(position: int) -> Vote:
        await barrier.wait()
        return vote(position % 2 == 0, f"vote {position}")

    votes = await collect_votes(cast, 4)
    assert [each.critique for each in votes] == ["vote 0", "vote 1", "vote 2", "vote 3"]


@pytest.mark.parametrize("verdicts", FIVE)
async def test_two_waves_at_most_and_the_second_only_if_the_first_disagrees(
    verdicts: tuple[bool, ...],
) -> None:
    voters = Voters(verdicts)
    votes = await collect_until_decided(voters, 5, 0.5)
    unanimous = len(set(verdicts[:3])) == 1
    assert len(voters.started) == (3 if unanimous else 5)
    assert len(votes) == (3 if unanimous else 4 if sum(verdicts[:4]) != 2 else 5)
    assert [each.verdict for each in votes] == list(verdicts[: len(votes)])


@calm
@given(st.lists(st.booleans(), min_size=1, max_size=7), st.floats(0, 1))
async def test_stopping_early_never_changes_the_outcome(
    verdicts: list[bool], accept_threshold: float
) -> None:
    cast = Voters(tuple(verdicts))
    some = Judgment(
        await collect_until_decided(cast, len(verdicts), accept_threshold), (), accept_threshold
    )
    everything = Judgment(await collect_votes(cast, len(verdicts)), (), accept_threshold)
    assert some.accepted == everything.accepted
    assert len(some.votes) >= fewest_to_decide(len(verdicts), accept_threshold)
    if 2 * sum(verdicts) == len(verdicts):
        assert some.votes == everything.votes


@calm
@given(st.sampled_from(FIVE), st.lists(st.integers(0, 9).map(float), min_size=5, max_size=5))
async def test_the_votes_do_not_depend_on_which_of_them_ends_first(
    verdicts: tuple[bool, ...], turns: list[float]
) -> None:
    even = await collect_until_decided(Voters(verdicts), 5, 0.5)
    assert await collect_until_decided(Voters(verdicts, turns), 5, 0.5) == even


async def test_votes_that_cannot_matter_any_more_are_cancelled() -> None:
    voters = Voters((True, True, False, True, True), [0, 0, 0, 0, NEVER])
    votes = await collect_until_decided(voters, 5, 0.5)
    assert [each.verdict for each in votes] == [True, True, False, True]
    assert voters.started == [0, 1, 2, 3, 4]
    assert voters.running == 0


@pytest.mark.parametrize("broken", range(3))
async def test_a_failed_vote_fails_at_once_and_cancels_the_others(broken: int) -> None:
    running = 0

    async def cast(position: int) -> Vote:
        nonlocal running
        if position == broken:
            raise EngineError("no vote")
        running += 1
        try:
            return await asyncio.Future()
        finally:
            running -= 1

    with pytest.raises(EngineError, match="no vote"):
        await collect_votes(cast, 3)
    with pytest.raises(EngineError, match="no vote"):
        await collect_until_decided(cast, 5, 0.5)
    assert running == 0


async def test_cancelling_cancels_every_vote() -> None:
    voters = Voters((True,) * 5, [NEVER] * 5)
    judging = asyncio.create_task(collect_until_decided(voters, 5, 0.5))
    await voters.stuck.wait()
    judging.cancel()
    with pytest.raises(asyncio.CancelledError):
        await judging
    assert voters.running == 0

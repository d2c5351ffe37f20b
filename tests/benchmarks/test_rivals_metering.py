"""The meter makes calls alike and loses no token."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call, Completion, Delta, OnDelta, ignore_delta
from app.roles.votes import NO, YES
from benchmarks.forcing import ForcedCall
from benchmarks.rivals.server import Meter, Tally

CALL = Call(
    (Message("user", "hello"),), "actor@0", Sampling(0.3, 0.5, 12, seed=7, stop=("Verdict:",))
)


class Engine:
    """Completes a call with one delta of `max_tokens` tokens."""

    def __init__(self) -> None:
        self.calls: list[Call] = []

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """Half of the tokens, a pause, the other half."""
        self.calls.append(call)
        half = call.sampling.max_tokens // 2
        on_delta(Delta("a", half, prompt_tokens=20))
        await asyncio.sleep(0)
        on_delta(Delta("b", half))
        return Completion("a\x00b", "length", 20, 2 * half, cached_tokens=15)

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta
    ) -> dict[str, float]:
        """A certain yes."""
        return {option: 0.0 if option in YES else -50.0 for option in options}


async def test_forced_calls_differ_only_in_length_and_seed() -> None:
    meter, engine = Meter(), Engine()
    other = replace(CALL, sampling=Sampling(0.9, 1.0, 6))

    await meter.complete(engine.complete, CALL, ignore_delta)
    await meter.complete(engine.complete, other, ignore_delta)

    first, second = engine.calls
    assert isinstance(first, ForcedCall)
    assert first.sampling.stop == ()
    assert (first.sampling.max_tokens, second.sampling.max_tokens) == (12, 6)
    assert first.sampling.seed != second.sampling.seed
    alike = replace(second.sampling, max_tokens=12, seed=first.sampling.seed)
    assert first.sampling == alike


async def test_seeds_repeat_from_one_run_to_the_next() -> None:
    meter, engine = Meter(), Engine()
    for _ in range(2):
        meter.begin(forced=True)
        await meter.complete(engine.complete, CALL, ignore_delta)
        await meter.complete(engine.complete, CALL, ignore_delta)

    seeds = [call.sampling.seed for call in engine.calls]
    assert seeds[:2] == seeds[2:]
    assert seeds[0] != seeds[1]


async def test_free_calls_stay_as_they_are_but_get_a_seed() -> None:
    meter, engine = Meter(), Engine()
    unseeded = replace(CALL, sampling=replace(CALL.sampling, seed=None))
    meter.begin(forced=False)

    await meter.complete(engine.complete, CALL, ignore_delta)
    await meter.complete(engine.complete, unseeded, ignore_delta)

    assert engine.calls[0] == CALL
    seed = engine.calls[1].sampling.seed
    assert seed is not None
    assert engine.calls[1] == replace(CALL, sampling=replace(CALL.sampling, seed=seed))


async def test_a_limit_shortens_forced_calls_only_down() -> None:
    meter, engine = Meter(), Engine()
    meter.begin(forced=True, limit=4)
    short = replace(CALL, sampling=Sampling(1.0, 1.0, 2))

    for call in (CALL, short):
        await meter.complete(engine.complete, call, ignore_delta)

    assert [call.sampling.max_tokens for call in engine.calls] == [4, 2]


@pytest.mark.parametrize(("forced", "certain"), [(True, NO), (False, YES)])
async def test_only_forced_verdicts_are_a_no(forced: bool, certain: tuple[str, ...]) -> None:
    meter, engine = Meter(), Engine()
    meter.begin(forced=forced)

    scores = await meter.score(engine.score, CALL, (*YES, *NO), ignore_delta)

    assert {option for option, score in scores.items() if score == 0.0} == set(certain)
    assert meter.tally.verdicts == 1
    assert meter.tally.completion_tokens == 0


async def test_tokens_of_cancelled_calls_are_counted() -> None:
    meter, engine = Meter(), Engine()
    call = asyncio.create_task(meter.complete(engine.complete, CALL, ignore_delta))
    await asyncio.sleep(0)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)

    await meter.complete(engine.complete, CALL, ignore_delta)

    assert meter.tally == Tally(1, 6 + 12, 0, 20, 15)
    assert meter.tally.hit_rate == 0.75


async def test_forced_text_is_a_valid_prompt_part() -> None:
    meter, engine = Meter(), Engine()

    forced = await meter.complete(engine.complete, CALL, ignore_delta)
    meter.begin(forced=False)
    free = await meter.complete(engine.complete, CALL, ignore_delta)

    assert (forced.text, free.text) == ("a b", "a\x00b")

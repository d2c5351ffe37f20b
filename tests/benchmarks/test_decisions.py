"""Judging the same responses in every way, over a scripted engine."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.config.settings import Settings
from app.domain.prompt import Prompt
from app.domain.search import QuickVerdictRule
from app.engine.base import Call
from benchmarks.decisions import (
    Judged,
    Judging,
    Response,
    calibrate,
    compare,
    default_prompts,
    held_out,
    outcome,
    spread,
)
from benchmarks.measure import Context
from tests.helpers.judgments import result
from tests.helpers.properties import calm
from tests.helpers.scripted_engine import ScriptedEngine
from tests.helpers.scripts import Play, judged_text, verdict_of_critique
from tests.helpers.searching import Checks, roles

LEAVE_TO_VOTES = QuickVerdictRule(0.0, 1.0)


@st.composite
def responses(draw: st.DrawFn) -> Judged:
    """A response to which votes that stop early and all votes give the same verdict."""
    quick_probability = draw(st.none() | st.floats(0, 1, exclude_max=True))
    accepted = quick_probability is not None and draw(st.booleans())
    return Judged(
        accepted, accepted, quick_probability, full_tokens=100, voted_tokens=draw(st.just(60))
    )


many = st.lists(responses(), min_size=2, max_size=30)
shares = st.floats(0, 1)


def seen(accepted: bool, quick_probability: float) -> Judged:
    return Judged(accepted, accepted, quick_probability, full_tokens=100, voted_tokens=60)


REJECTED = Judged(False, False, None, full_tokens=100, voted_tokens=20)


def test_rejection_by_checkers_costs_no_tokens() -> None:
    assert outcome([REJECTED], QuickVerdictRule()).cost == 0
    assert outcome([REJECTED], QuickVerdictRule()).agreement == 1


def test_unclear_quick_verdict_adds_the_votes() -> None:
    judged = [seen(True, 0.95), seen(False, 0.95), seen(True, 0.5)]
    found = outcome(judged, QuickVerdictRule(0.1, 0.9))
    assert (found.tokens, found.full_tokens) == (1 + 1 + 61, 300)
    assert (found.agreeing, found.count) == (2, 3)


def test_biased_quick_verdict_gets_thresholds_away_from_half() -> None:
    judged = [seen(False, 0.70), seen(False, 0.75), seen(True, 0.85), seen(True, 0.90)]
    rule = calibrate(judged, wanted=1.0)
    assert outcome(judged, rule).agreement == 1
    assert outcome(judged, rule).tokens == len(judged)
    assert 0.75 < rule.low <= rule.high <= 0.85


@calm
@given(many, shares)
def test_calibration_reaches_wanted_agreement_when_votes_agree(
    judged: list[Judged], wanted: float
) -> None:
    assert outcome(judged, calibrate(judged, wanted)).agreement >= wanted


@calm
@given(many, shares)
def test_calibrated_judging_never_costs_more_than_votes_alone(
    judged: list[Judged], wanted: float
) -> None:
    calibrated = outcome(judged, calibrate(judged, wanted))
    assert calibrated.tokens <= outcome(judged, LEAVE_TO_VOTES).tokens


@calm
@given(many, shares, shares)
def test_lower_wanted_agreement_never_costs_more(
    judged: list[Judged], one: float, other: float
) -> None:
    lax, strict = (calibrate(judged, wanted) for wanted in sorted([one, other]))
    assert outcome(judged, lax).tokens <= outcome(judged, strict).tokens


@calm
@given(many, shares)
def test_cross_validation_measures_every_response_once(judged: list[Judged], wanted: float) -> None:
    found = held_out(judged, wanted)
    assert found.count == len(judged)
    assert found.full_tokens == sum(one.full_tokens for one in judged)


def test_thresholds_of_one_half_are_measured_on_the_other() -> None:
    """Even positions say that 0.6 is a yes, odd ones that it is a no."""
    judged = [seen(True, 0.6), seen(False, 0.6)] * 5
    assert held_out(judged, wanted=1.0).agreement == 0


def test_single_response_cannot_be_split() -> None:
    with pytest.raises(ValueError, match="two responses"):
        held_out([REJECTED], 0.98)


PROMPTS = [Prompt.from_text(f"question {number}") for number in range(4)]
SETTINGS = Settings(_env_file=None, quick_verdict_low=0.2, quick_verdict_high=0.8)


async def good(text: str, number: int) -> bool:
    return text.startswith("good")


def rule(call: Call, option: str) -> float:
    """Sure of good and bad texts, and unsure of others, before any critique."""
    if call.messages[-1].content != "Verdict:":
        return verdict_of_critique(call, option)
    text = judged_text(call) or ""
    yes = 0.9 if text.startswith("good") else 0.1 if text.startswith("bad") else 0.5
    return {" yes": math.log(yes), " no": math.log(1 - yes)}.get(option, -math.inf)


async def nothing() -> None:
    """There is no cache to empty."""


def judging(forgotten: list[None] | None = None) -> tuple[Context, Judging]:
    async def forget() -> None:
        (forgotten if forgotten is not None else []).append(None)

    engine = ScriptedEngine(Play(decide=good), rule)
    checks = Checks(lambda text: (result("wrong" not in text),))
    context = Context(SETTINGS, "model", 2, False, [], lambda _: None)
    return context, Judging(context, roles(engine, checks), forget)


async def test_rows_compare_cheaper_procedures_with_full_votes() -> None:
    forgotten: list[None] = []
    context, made = judging(forgotten)
    texts = ["good", "bad", "unclear", "wrong"]
    responses = [Response(prompt, text) for prompt, text in zip(PROMPTS, texts, strict=True)]
    rows = {row.name: row for row in await compare(context, made, responses)}
    # A vote is a critique and a verdict: "all is met" or "it falls short", and one token more.
    full, early = 4 * 5 * 4, (3 * 3 + 1) * 4
    assert rows["tokens, early stop / full, all"].spread.median == early / full
    assert rows["tokens, quick verdict / full, all"].spread.median == (1 + 1 + 1 + 3 * 4) / full
    assert rows["agreement, early stop, all"].spread.low == 1
    assert rows["agreement, quick verdict, all"].spread.low == 1
    assert rows["agreement, full / full with another seed"].spread.low == 1
    assert rows["calibrated, same responses: tokens / full"].spread.median == 3 / full
    assert rows["calibrated, same responses: agreement"].spread.median == 1
    assert len(forgotten) == 3 * context.rounds + 2


async def test_responses_are_distinct_and_not_empty() -> None:
    async def respond(number: int) -> str:
        return ["", "same", "same", "other"][number % 4]

    engine = ScriptedEngine(Play(respond=respond), rule)
    context, _ = judging()
    made = await Judging(context, roles(engine), nothing).respond(PROMPTS[:1], 8, 16)
    assert sorted(response.text for response in made) == ["other", "same"]


@pytest.mark.parametrize("count", [2, 16, 40])
def test_half_of_the_prompts_have_constraints(count: int) -> None:
    prompts = default_prompts(count)
    assert len({prompt.instruction for prompt in prompts}) == len(prompts) == count
    assert sum(bool(prompt.constraints) for prompt in prompts) == count // 2


def test_sample_is_evenly_spaced() -> None:
    assert spread(range(10), 4) == [0, 2, 5, 7]
    assert spread(range(2), 4) == [0, 1]

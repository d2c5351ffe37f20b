"""Thresholds of a quick verdict, from responses judged in every way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.search import QuickVerdictRule
from benchmarks.calibrate import Judged, calibrate, held_out, outcome
from tests.helpers.properties import calm

LEAVE_TO_VOTES = QuickVerdictRule(0.0, 1.0)


@st.composite
def responses(draw: st.DrawFn) -> Judged:
    """A response to which votes that stop early and all votes give the same verdict."""
    looked = draw(st.none() | st.floats(0, 1, exclude_max=True))
    accepted = looked is not None and draw(st.booleans())
    return Judged(accepted, accepted, looked, full_tokens=100, voted_tokens=draw(st.just(60)))


many = st.lists(responses(), min_size=2, max_size=30)
shares = st.floats(0, 1)


def seen(accepted: bool, looked: float) -> Judged:
    return Judged(accepted, accepted, looked, full_tokens=100, voted_tokens=60)


REJECTED = Judged(False, False, None, full_tokens=100, voted_tokens=20)


def test_a_rejection_by_a_program_costs_nothing() -> None:
    assert outcome([REJECTED], QuickVerdictRule()).cost == 0
    assert outcome([REJECTED], QuickVerdictRule()).agreement == 1


def test_a_clear_look_costs_a_token_and_an_unclear_one_the_votes_too() -> None:
    judged = [seen(True, 0.95), seen(False, 0.95), seen(True, 0.5)]
    found = outcome(judged, QuickVerdictRule(0.1, 0.9))
    assert (found.tokens, found.full_tokens) == (1 + 1 + 61, 300)
    assert (found.agreeing, found.count) == (2, 3)


def test_a_biased_look_is_calibrated_away_from_a_half() -> None:
    judged = [seen(False, 0.70), seen(False, 0.75), seen(True, 0.85), seen(True, 0.90)]
    look = calibrate(judged, wanted=1.0)
    assert outcome(judged, look).agreement == 1
    assert outcome(judged, look).tokens == len(judged)
    assert 0.75 < look.low <= look.high <= 0.85


@calm
@given(many, shares)
def test_where_votes_agree_the_thresholds_always_agree_as_often_as_wanted(
    judged: list[Judged], wanted: float
) -> None:
    assert outcome(judged, calibrate(judged, wanted)).agreement >= wanted


@calm
@given(many, shares)
def test_calibrated_judging_never_costs_more_than_leaving_all_to_the_votes(
    judged: list[Judged], wanted: float
) -> None:
    calibrated = outcome(judged, calibrate(judged, wanted))
    assert calibrated.tokens <= outcome(judged, LEAVE_TO_VOTES).tokens


@calm
@given(many, shares, shares)
def test_asking_for_less_agreement_never_costs_more(
    judged: list[Judged], one: float, other: float
) -> None:
    lax, strict = (calibrate(judged, wanted) for wanted in sorted([one, other]))
    assert outcome(judged, lax).tokens <= outcome(judged, strict).tokens


@calm
@given(many, shares)
def test_halves_measure_every_response_once(judged: list[Judged], wanted: float) -> None:
    found = held_out(judged, wanted)
    assert found.count == len(judged)
    assert found.full_tokens == sum(one.full_tokens for one in judged)


def test_what_one_half_teaches_is_measured_on_the_other() -> None:
    """Even positions say that 0.6 is a yes, odd ones that it is a no."""
    judged = [seen(True, 0.6), seen(False, 0.6)] * 5
    assert held_out(judged, wanted=1.0).agreement == 0


def test_a_single_response_has_no_halves() -> None:
    with pytest.raises(ValueError, match="two responses"):
        held_out([REJECTED], 0.98)

"""When a quick verdict is clear."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.search import QuickVerdictRule
from tests.helpers.properties import calm

shares = st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0])
rules = st.tuples(shares, shares).map(lambda pair: QuickVerdictRule(min(pair), max(pair)))


@calm
@given(rules, shares)
def test_only_what_lies_between_the_thresholds_is_left_to_the_votes(
    rule: QuickVerdictRule, probability: float
) -> None:
    expected = probability >= rule.high if not rule.low <= probability < rule.high else None
    assert rule.verdict(probability) is expected


@calm
@given(rules, shares, shares)
def test_a_higher_probability_never_turns_a_yes_into_a_no(
    rule: QuickVerdictRule, one: float, other: float
) -> None:
    lower, higher = sorted([one, other])
    if rule.verdict(higher) is False:
        assert rule.verdict(lower) is False
    if rule.verdict(lower):
        assert rule.verdict(higher)


@calm
@given(st.tuples(shares, shares, shares, shares), shares)
def test_what_wider_thresholds_decide_narrower_ones_decide_the_same_way(
    thresholds: tuple[float, ...], probability: float
) -> None:
    low, inner_low, inner_high, high = sorted(thresholds)
    verdict = QuickVerdictRule(low, high).verdict(probability)
    if verdict is not None:
        assert QuickVerdictRule(inner_low, inner_high).verdict(probability) is verdict


@calm
@given(shares, shares)
def test_equal_thresholds_always_decide(threshold: float, probability: float) -> None:
    assert QuickVerdictRule(threshold, threshold).verdict(probability) is (probability >= threshold)


@pytest.mark.parametrize(("low", "high"), [(0.6, 0.4), (-0.1, 0.5), (0.5, 1.1)])
def test_thresholds_are_shares_in_order(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="does not hold"):
        QuickVerdictRule(low, high)

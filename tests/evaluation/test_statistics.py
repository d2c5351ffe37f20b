"""Metrics with their intervals, and paired comparisons, against brute force and textbook values."""

import itertools
import json
from dataclasses import asdict
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.checkpoint import Role
from app.evaluation.base import Metric, Score
from app.evaluation.statistics import (
    RoleReport,
    average,
    compare,
    mcnemar,
    measure,
    summary,
    wilson,
)
from tests.helpers.properties import calm

CELLS = st.integers(1, 4).flatmap(lambda units: st.tuples(st.integers(0, units), st.just(units)))


def scored(*cells: tuple[float, int]) -> list[Score]:
    """One score for each cell, of the metric `m`."""
    return [{"m": cell} for cell in cells]


def made(one: Metric | None) -> Metric:
    """The metric, which is not None."""
    assert one is not None
    return one


def test_a_share_of_yes_or_no_items_has_wilsons_interval() -> None:
    assert measure("m", scored((1, 1), (0, 1), (1, 1))) == Metric("m", 2 / 3, *wilson(2, 3), 3)


def test_units_are_weighed_alike_and_items_drawn_whole() -> None:
    one = made(measure("m", scored(*[(10, 10), (0, 10)] * 10)))
    assert (one.value, one.n) == (0.5, 200)
    narrow, wide = wilson(100, 200), wilson(10, 20)
    assert one.low < narrow[0] - 0.05
    assert one.high > narrow[1] + 0.05
    assert (one.low, one.high) == pytest.approx(wide, abs=0.05)


def test_half_points_are_bootstrapped() -> None:
    one = made(measure("m", scored((0.5, 1), (1, 1), (0, 1), (0.5, 1))))
    assert one.value == 0.5
    assert 0.1 < one.low < 0.5 < one.high < 0.9


@pytest.mark.parametrize("share", [0, 1])
def test_interval_of_all_or_nothing_is_not_empty(share: int) -> None:
    """Every resample is the same; the interval is that of the items, not of their units."""
    one = made(measure("m", scored(*[(share * 3, 3)] * 5)))
    assert (one.value, one.low, one.high) == (share, *wilson(share * 5, 5))


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        chances = np.where(rng.random(60) < 0.5, 0.2, 0.8)
        one = made(measure("m", scored(*((float(rng.binomial(3, p)), 3) for p in chances))))
        covered += one.low <= 0.5 <= one.high
    assert 88 <= covered <= 100


def test_a_metric_that_applies_to_no_item_is_left_out() -> None:
    assert measure("m", [{}, {"other": (1.0, 1)}]) is None
    assert measure("m", scored((0, 0))) is None
    assert average("mean", ["m", "other"], scored((1, 1))) is None
    assert average("mean", ["m"], []) is None


def test_an_average_is_of_the_metrics_not_of_the_units() -> None:
    scores: list[Score] = [{"m": (1.0, 1), "of": (1.0, 4)}, {"m": (0.0, 1), "of": (2.0, 2)}]
    one = made(average("mean", ["m", "of"], scores))
    assert (one.name, one.value, one.n) == ("mean", 0.5, 2)
    assert (one.low, one.high) == (0.5, (1 + 1 / 4) / 2)


def test_average_ignores_resamples_without_a_metric() -> None:
    scores: list[Score] = [{"m": (1.0, 2), "of": (1.0, 2)}, {"m": (2.0, 2)}, {"m": (0.0, 2)}]
    one = made(average("mean", ["m", "of"], scores))
    assert 0 <= one.low <= one.value <= one.high <= 1


def test_subsets_follow_their_metrics() -> None:
    scores: list[Score] = [
        {"m": (1.0, 1), "m/b": (1.0, 1), "n": (0.0, 1)},
        {"m": (0.0, 1), "m/a": (0.0, 1), "n": (1.0, 1), "mm/a": (1.0, 1)},
    ]
    assert [one.name for one in summary(["n", "m"], scores)] == ["n", "m", "m/a", "m/b"]


@calm
@given(st.lists(CELLS, min_size=1, max_size=12))
def test_a_metric_lies_in_its_interval_and_is_always_the_same(cells: list[tuple[int, int]]) -> None:
    one = made(measure("m", scored(*cells)))
    assert 0 <= one.low <= one.value <= one.high <= 1
    assert one.value == pytest.approx(sum(a for a, _ in cells) / sum(b for _, b in cells))
    assert one.n == sum(units for _, units in cells)
    assert measure("m", scored(*cells)) == one


BINARY = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=12)


def by_coin_flips(better: int, worse: int) -> float:
    """McNemar's p by listing every way in which fair coins can fall."""
    extreme = abs(better - worse)
    falls = itertools.product((1, -1), repeat=better + worse)
    outcomes = [abs(sum(fall)) >= extreme for fall in falls]
    return float(Fraction(sum(outcomes), len(outcomes)))


@pytest.mark.parametrize("better", range(6))
@pytest.mark.parametrize("worse", range(6))
def test_mcnemar_is_the_share_of_coin_flips_as_extreme(better: int, worse: int) -> None:
    assert mcnemar(better, worse) == pytest.approx(by_coin_flips(better, worse))


def test_mcnemar_takes_many_items() -> None:
    assert mcnemar(2000, 2000) == 1.0
    assert 0 < mcnemar(2200, 2000) < 0.01


def test_means_and_their_difference_are_of_the_given_items() -> None:
    result = compare("accuracy", [1, 1, 0, 1], [0, 1, 0, 0])
    assert (result.name, result.n) == ("accuracy", 4)
    assert (result.candidate, result.incumbent, result.difference) == (0.75, 0.25, 0.5)
    assert result.p == mcnemar(2, 0)


def test_units_make_a_ratio_of_sums() -> None:
    result = compare("instructions", [1, 3], [1, 0], units=[1, 3])
    assert (result.candidate, result.incumbent, result.difference) == (1.0, 0.25, 0.75)
    assert result.p is None


def test_a_small_bootstrap_is_close_to_all_resamples_there_are() -> None:
    ours, theirs, units = np.array([2.0, 0, 1, 3]), np.array([1.0, 1, 0, 3]), np.array([2, 1, 2, 3])
    every = [
        (ours - theirs)[list(drawn)].sum() / units[list(drawn)].sum()
        for drawn in itertools.product(range(4), repeat=4)
    ]
    result = compare("x", ours.tolist(), theirs.tolist(), units.tolist(), seed=3)
    assert result.gained == pytest.approx(np.mean(np.array(every) > 0), abs=0.02)
    assert result.lost == pytest.approx(np.mean(np.array(every) < 0), abs=0.02)
    assert result.low == pytest.approx(np.quantile(every, 0.025), abs=0.05)
    assert result.high == pytest.approx(np.quantile(every, 0.975), abs=0.05)


def test_whole_items_are_resampled_not_their_units() -> None:
    """Ten units that stand and fall together say less than ten that do not."""
    alone = compare("x", [1, 0] * 20, [0, 0] * 20)
    together = compare("x", [10, 0, 10, 0], [0, 0, 0, 0], units=[10] * 4)
    assert alone.difference == together.difference
    assert together.high - together.low > 2 * (alone.high - alone.low)


def test_the_interval_of_a_difference_covers_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for trial in range(200):
        theirs = rng.random(80) < 0.4
        ours = np.where(rng.random(80) < 0.3, rng.random(80) < 0.7, theirs)
        result = compare("x", ours.tolist(), theirs.tolist(), seed=trial, resamples=500)
        covered += result.low <= 0.3 * (0.7 - 0.4) <= result.high
    assert 0.88 <= covered / 200 <= 0.99


@calm
@given(BINARY, st.integers(0, 9))
def test_the_same_arguments_give_the_same_result(pairs: list[tuple[int, int]], seed: int) -> None:
    ours, theirs = map(list, zip(*pairs, strict=True))
    first = compare("x", ours, theirs, seed=seed, resamples=200)
    assert compare("x", ours, theirs, seed=seed, resamples=200) == first
    assert first.low <= first.high
    assert first.gained + first.lost <= 1


@calm
@given(BINARY)
def test_swapping_the_models_mirrors_the_result(pairs: list[tuple[int, int]]) -> None:
    ours, theirs = map(list, zip(*pairs, strict=True))
    there = compare("x", ours, theirs, resamples=200)
    back = compare("x", theirs, ours, resamples=200)
    assert (back.difference, back.gained, back.lost, back.p) == (
        -there.difference,
        there.lost,
        there.gained,
        there.p,
    )
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low))


def test_many_items_are_resampled_in_parts() -> None:
    scores = [item % 3 for item in range(60_000)]
    result = compare("x", scores, [1] * 60_000, resamples=50)
    assert result.low < result.difference < result.high


def test_rounding_is_no_gain() -> None:
    result = compare("x", [0.1, 0.2, 0.3], [0.2, 0.3, 0.1])
    assert result.p is None
    same = compare("x", [0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    assert (same.gained, same.lost, same.low, same.high) == (0, 0, 0, 0)
    balanced = compare("x", [0.1 + 0.2, 0.3], [0.3, 0.1 + 0.2])
    assert (balanced.gained, balanced.lost) == (0, 0)


@pytest.mark.parametrize(
    ("candidate", "incumbent", "units"),
    [([], [], None), ([1], [1, 0], None), ([1], [1], [1, 1]), ([1, 1], [0, 0], [1, 0])],
)
def test_items_that_do_not_match_are_refused(
    candidate: list[float], incumbent: list[float], units: list[int] | None
) -> None:
    with pytest.raises(ValueError, match="item"):
        compare("x", candidate, incumbent, units)


@pytest.mark.parametrize(
    ("successes", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (5, 10, 0.2366, 0.7634),
        (81, 263, 0.2553, 0.3662),
    ],
)
def test_wilson_gives_the_textbook_intervals(
    successes: int, n: int, low: float, high: float
) -> None:
    assert wilson(successes, n) == pytest.approx((low, high), abs=5e-5)


@calm
@given(st.integers(0, 500), st.integers(0, 500))
def test_wilson_holds_the_share_within_0_and_1(successes: int, failures: int) -> None:
    n = successes + failures
    low, high = wilson(successes, n)
    share = successes / n if n else 0.5
    assert 0 <= low <= share <= high <= 1


REPORT = RoleReport(
    Role.ACTOR,
    compare("prompts", [1, 1, 0], [0, 1, 0], resamples=50),
    (compare("instructions", [1, 3, 0], [0, 2, 0], [1, 4, 2], resamples=50),),
    n_prompts=3,
)


def test_report_has_all_fields_as_values() -> None:
    stored = json.loads(json.dumps(REPORT.to_dict(), allow_nan=False))
    assert (stored["role"], stored["n_prompts"]) == ("actor", 3)
    assert stored["primary"] == asdict(REPORT.primary)
    assert stored["others"] == [asdict(one) for one in REPORT.others]

"""Paired statistics against brute force and textbook values."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evaluation.statistics import compare, mcnemar, wilson
from tests.helpers.properties import calm

BINARY = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=12)


def activates(better: int, worse: int) -> float:
    """McNemar's p by listing every way in which fair coins can fall."""
    extreme = abs(better - worse)
    falls = itertools.product((1, -1), repeat=better + worse)
    outcomes = [abs(sum(fall)) >= extreme for fall in falls]
    return float(Fraction(sum(outcomes), len(outcomes)))


@pytest.mark.parametrize("better", range(6))
@pytest.mark.parametrize("worse", range(6))
def test_mcnemar_is_the_share_of_coin_flips_as_extreme(better: int, worse: int) -> None:
    assert mcnemar(better, worse) == pytest.approx(activates(better, worse))


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


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
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

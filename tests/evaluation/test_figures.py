"""Figures and their intervals."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evaluation.base import Figure, Score
from app.evaluation.statistics import average, figure, summary, wilson
from tests.helpers.properties import calm

CELLS = st.integers(1, 4).flatmap(lambda units: st.tuples(st.integers(0, units), st.just(units)))


def scored(*cells: tuple[float, int]) -> list[Score]:
    """One score for each cell, of the metric `m`."""
    return [{"m": cell} for cell in cells]


def made(one: Figure | None) -> Figure:
    """The figure, which there is."""
    assert one is not None
    return one


def test_a_share_of_yes_or_no_items_has_wilsons_interval() -> None:
    assert figure("m", scored((1, 1), (0, 1), (1, 1))) == Figure("m", 2 / 3, *wilson(2, 3), 3)


def test_units_are_weighed_alike_and_items_drawn_whole() -> None:
    one = made(figure("m", scored(*[(10, 10), (0, 10)] * 10)))
    assert (one.value, one.n) == (0.5, 200)
    narrow, wide = wilson(100, 200), wilson(10, 20)
    assert one.low < narrow[0] - 0.05
    assert one.high > narrow[1] + 0.05
    assert (one.low, one.high) == pytest.approx(wide, abs=0.05)


def test_half_points_are_bootstrapped() -> None:
    one = made(figure("m", scored((0.5, 1), (1, 1), (0, 1), (0.5, 1))))
    assert one.value == 0.5
    assert 0.1 < one.low < 0.5 < one.high < 0.9


@pytest.mark.parametrize("share", [0, 1])
def test_all_or_nothing_is_not_certain(share: int) -> None:
    """Every resample is the same; the interval is that of the items, not of their units."""
    one = made(figure("m", scored(*[(share * 3, 3)] * 5)))
    assert (one.value, one.low, one.high) == (share, *wilson(share * 5, 5))


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    covered = 0
    for _ in range(100):
        chances = np.where(rng.random(60) < 0.5, 0.2, 0.8)
        one = made(figure("m", scored(*((float(rng.binomial(3, p)), 3) for p in chances))))
        covered += one.low <= 0.5 <= one.high
    assert 88 <= covered <= 100


def test_metrics_that_apply_to_no_item_have_no_figure() -> None:
    assert figure("m", [{}, {"other": (1.0, 1)}]) is None
    assert figure("m", scored((0, 0))) is None
    assert average("mean", ["m", "other"], scored((1, 1))) is None
    assert average("mean", ["m"], []) is None


def test_an_average_is_of_the_figures_not_of_the_units() -> None:
    scores: list[Score] = [{"m": (1.0, 1), "of": (1.0, 4)}, {"m": (0.0, 1), "of": (2.0, 2)}]
    one = made(average("mean", ["m", "of"], scores))
    assert (one.name, one.value, one.n) == ("mean", 0.5, 2)
    assert (one.low, one.high) == (0.5, (1 + 1 / 4) / 2)


def test_an_average_stands_when_a_resample_misses_a_metric() -> None:
    scores: list[Score] = [{"m": (1.0, 2), "of": (1.0, 2)}, {"m": (2.0, 2)}, {"m": (0.0, 2)}]
    one = made(average("mean", ["m", "of"], scores))
    assert 0 <= one.low <= one.value <= one.high <= 1


def test_subsets_come_after_what_they_are_of() -> None:
    scores: list[Score] = [
        {"m": (1.0, 1), "m/b": (1.0, 1), "n": (0.0, 1)},
        {"m": (0.0, 1), "m/a": (0.0, 1), "n": (1.0, 1), "mm/a": (1.0, 1)},
    ]
    assert [one.name for one in summary(["n", "m"], scores)] == ["n", "m", "m/a", "m/b"]


@calm
@given(st.lists(CELLS, min_size=1, max_size=12))
def test_a_figure_lies_in_its_interval_and_is_always_the_same(cells: list[tuple[int, int]]) -> None:
    one = made(figure("m", scored(*cells)))
    assert 0 <= one.low <= one.value <= one.high <= 1
    assert one.value == pytest.approx(sum(a for a, _ in cells) / sum(b for _, b in cells))
    assert one.n == sum(units for _, units in cells)
    assert figure("m", scored(*cells)) == one

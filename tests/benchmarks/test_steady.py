"""Rates of a full queue do not depend on where its waves begin."""

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import ConfigurationError
from benchmarks.steady import PARTS, steady_rates


def ends_of(waves: list[float], at_once: int, spread: float = 0.0) -> list[float]:
    """The ends of `at_once` searches per wave, which lasts so long; the wave's last part is them.

    spread: the share of the wave over which its searches end.
    """
    return [
        moment - seconds * spread * (at_once - 1 - number) / at_once
        for moment, seconds in zip(accumulate(waves), waves, strict=True)
        for number in range(at_once)
    ]


@given(
    at_once=st.integers(1, 20),
    waves=st.integers(4, 80),
    seconds=st.floats(0.1, 100),
    spread=st.floats(0, 1),
)
def test_equal_waves_have_equal_rates(
    at_once: int, waves: int, seconds: float, spread: float
) -> None:
    rates = steady_rates(ends_of([seconds] * waves, at_once, spread), at_once)
    assert len(rates) >= 2
    assert rates == pytest.approx([at_once / seconds] * len(rates))


def test_a_slower_end_shows() -> None:
    rates = steady_rates(ends_of([1.0] * 30 + [2.0] * 30, 16), 16)
    assert rates[0] == pytest.approx(16)
    assert rates[-1] == pytest.approx(8)


def test_filling_and_draining_are_left_out() -> None:
    rates = steady_rates(ends_of([50.0] + [1.0] * 60 + [50.0], 16), 16)
    assert len(rates) == PARTS
    assert rates == pytest.approx([16.0] * PARTS)


def test_a_thousand_searches_have_ten_parts_in_whatever_order_they_are_told() -> None:
    ends = [float(number) for number in range(1000)]
    assert steady_rates(ends[::-1], 16) == [1.0] * 10


def test_too_few_searches_are_refused() -> None:
    steady_rates([float(number) for number in range(64)], 16)
    with pytest.raises(ConfigurationError, match="at least 64"):
        steady_rates([float(number) for number in range(63)], 16)

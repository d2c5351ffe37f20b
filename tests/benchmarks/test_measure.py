"""Alternated rounds and their spread."""

from collections.abc import Awaitable, Callable

import pytest

from benchmarks.measure import Spread, alternate


async def test_the_order_is_reversed_in_odd_rounds() -> None:
    order: list[str] = []

    def contender(name: str) -> Callable[[], Awaitable[int]]:
        async def run() -> int:
            order.append(name)
            return len(order)

        return run

    results = await alternate({"a": contender("a"), "b": contender("b")}, rounds=3)

    assert order == ["a", "b", "b", "a", "a", "b"]
    assert results == {"a": [1, 4, 5], "b": [2, 3, 6]}


def test_ratios_are_paired_by_round() -> None:
    assert Spread.of_ratios([2, 9, 4], [1, 3, 8]) == Spread(median=2, low=0.5, high=3)


def test_ratios_of_different_numbers_of_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        Spread.of_ratios([1, 2], [1])

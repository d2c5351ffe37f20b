from benchmarks.swap import compared


def test_the_slowest_searches_are_compared_round_by_round() -> None:
    still = [[1.0] * 99 + [2.0], [1.0] * 100]
    swapping = [[1.0] * 98 + [4.0, 4.0], [3.0] * 100]
    row = compared(50, swapping, still)
    assert (row.spread.low, row.spread.high) == (1.0, 3.0)
    assert row.target is not None
    assert not row.target.at_least
    assert compared(99, swapping, still).spread.high > 2

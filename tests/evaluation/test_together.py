"""Many things are worked on at once, no more than allowed, until the first error."""

import asyncio

import pytest

from app.evaluation.runner import bounded_map


@pytest.mark.parametrize("at_once", [1, 3, 20])
async def test_everything_is_done_once_and_no_more_at_a_time_than_allowed(at_once: int) -> None:
    running, peak, done = 0, 0, list[int]()

    async def work(number: int) -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(number)

    await bounded_map(range(10), work, at_once)
    assert sorted(done) == list(range(10))
    assert peak == min(at_once, 10)


async def test_the_first_error_ends_it_and_raises_by_itself() -> None:
    ended = list[int]()

    async def work(number: int) -> None:
        if number == 1:
            raise ValueError("one")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    with pytest.raises(ValueError, match="one"):
        await bounded_map(range(5), work, 2)
    assert ended == [0]

"""Events of running work."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing

import pytest

from app.api.streaming import Live
from app.errors import EngineError


async def test_the_events_come_in_order_and_then_the_result() -> None:
    async def work(report: Callable[[int], None]) -> str:
        for number in range(3):
            report(number)
            await asyncio.sleep(0)
        return "done"

    assert [item async for item in Live(work).follow()] == [0, 1, 2, "done"]


async def test_a_spar_error_is_the_last_item() -> None:
    error = EngineError("the call failed")

    async def work(report: Callable[[int], None]) -> str:
        report(1)
        raise error

    assert [item async for item in Live(work).follow()] == [1, error]


async def test_any_other_error_is_raised() -> None:
    async def work(report: Callable[[int], None]) -> str:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        [item async for item in Live(work).follow()]


async def test_closing_cancels_the_work() -> None:
    cancelled = asyncio.Event()

    async def work(report: Callable[[int], None]) -> str:
        report(1)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return "never"

    async with aclosing(Live(work).follow()) as items:
        assert await anext(items) == 1
    await asyncio.wait_for(cancelled.wait(), 5)


async def test_work_starts_before_the_events_are_read() -> None:
    started = asyncio.Event()

    async def work(report: Callable[[int], None]) -> str:
        started.set()
        return "done"

    live: Live[int, str] = Live(work)
    await asyncio.wait_for(started.wait(), 5)
    assert [item async for item in live.follow()] == ["done"]

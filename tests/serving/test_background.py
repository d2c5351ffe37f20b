"""Background calls: limits and order."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from app.errors import Overloaded
from app.serving.admission import Admission, Background

TIME_TO_TRY = 0.1


def background(requests: Admission, *, quiet_seconds: float = 0.0) -> Background:
    return Background(requests, idle=4, busy=1, quiet_seconds=quiet_seconds)


async def start(queue: Background, count: int, stack: AsyncExitStack) -> list[int]:
    """Start `count` calls; the numbers of those that run."""
    started: list[int] = []
    end = asyncio.Event()

    async def call(number: int) -> None:
        async with queue.turn():
            started.append(number)
            await end.wait()

    tasks = [asyncio.create_task(call(number)) for number in range(count)]
    stack.push_async_callback(asyncio.wait, tasks)
    stack.callback(end.set)
    await asyncio.sleep(TIME_TO_TRY)
    return started


async def test_calls_run_up_to_the_idle_limit_in_order() -> None:
    async with AsyncExitStack() as stack:
        assert await start(background(Admission(4, 4)), 6, stack) == [0, 1, 2, 3]


async def test_an_active_request_lowers_the_limit() -> None:
    requests = Admission(4, 4)
    requests.enter()
    async with AsyncExitStack() as stack:
        assert await start(background(requests), 6, stack) == [0]


async def test_more_calls_run_after_the_last_request() -> None:
    requests = Admission(4, 4)
    slot = requests.enter()
    async with AsyncExitStack() as stack:
        started = await start(background(requests), 6, stack)
        slot.release()
        await asyncio.sleep(TIME_TO_TRY)
        assert started == [0, 1, 2, 3]


async def test_a_request_counts_as_active_for_the_quiet_period() -> None:
    requests = Admission(4, 4)
    requests.enter().release()
    async with AsyncExitStack() as stack:
        assert await start(background(requests, quiet_seconds=60), 6, stack) == [0]


async def test_the_end_of_a_call_starts_the_next() -> None:
    queue = background(Admission(4, 4))
    async with AsyncExitStack() as stack:
        await start(queue, 6, stack)
    assert queue.running == 0


async def test_a_call_cancelled_in_the_queue_does_not_run() -> None:
    queue = background(Admission(4, 4))
    async with AsyncExitStack() as stack:
        await start(queue, 4, stack)
        waiting = asyncio.create_task(queue.turn().__aenter__())
        await asyncio.sleep(TIME_TO_TRY)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert queue.running == 4


def test_a_full_background_queue_rejects() -> None:
    queue = Background(Admission(4, 4), idle=1, busy=1, places=2)
    first, _ = queue.enter(), queue.enter()
    with pytest.raises(Overloaded):
        queue.enter()
    first.release()
    queue.enter()

"""Background calls use what people leave free, and wait in order."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from app.errors import Overloaded
from app.serving.admission import Admission, Background

TIME_TO_TRY = 0.1


def background(people: Admission, *, quiet_seconds: float = 0.0) -> Background:
    return Background(people, alone=4, beside_people=1, quiet_seconds=quiet_seconds)


async def start(queue: Background, count: int, stack: AsyncExitStack) -> list[int]:
    """Have `count` calls ask for their turn; the numbers of those that got it."""
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


async def test_alone_many_run_in_the_order_they_came() -> None:
    async with AsyncExitStack() as stack:
        assert await start(background(Admission(4, 4)), 6, stack) == [0, 1, 2, 3]


async def test_beside_people_few_run() -> None:
    people = Admission(4, 4)
    people.enter()
    async with AsyncExitStack() as stack:
        assert await start(background(people), 6, stack) == [0]


async def test_more_run_when_the_people_are_gone() -> None:
    people = Admission(4, 4)
    place = people.enter()
    async with AsyncExitStack() as stack:
        started = await start(background(people), 6, stack)
        place.leave()
        await asyncio.sleep(TIME_TO_TRY)
        assert started == [0, 1, 2, 3]


async def test_people_count_as_there_for_a_while_after_they_left() -> None:
    people = Admission(4, 4)
    people.enter().leave()
    async with AsyncExitStack() as stack:
        assert await start(background(people, quiet_seconds=60), 6, stack) == [0]


async def test_a_turn_that_ends_lets_the_next_in() -> None:
    queue = background(Admission(4, 4))
    async with AsyncExitStack() as stack:
        await start(queue, 6, stack)
    assert queue.running == 0


async def test_a_call_that_is_cancelled_while_it_waits_takes_no_turn() -> None:
    queue = background(Admission(4, 4))
    async with AsyncExitStack() as stack:
        await start(queue, 4, stack)
        waiting = asyncio.create_task(queue.turn().__aenter__())
        await asyncio.sleep(TIME_TO_TRY)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert queue.running == 4


def test_who_gives_way_is_turned_away_too_when_the_queue_is_full() -> None:
    queue = Background(Admission(4, 4), alone=1, beside_people=1, places=2)
    first, _ = queue.enter(), queue.enter()
    with pytest.raises(Overloaded):
        queue.enter()
    first.leave()
    queue.enter()

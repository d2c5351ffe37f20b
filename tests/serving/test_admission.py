"""The bounded queue."""

import asyncio

import pytest

from app.errors import Overloaded
from app.serving.admission import Admission


def test_a_full_queue_rejects_with_retry_after() -> None:
    admission = Admission(running=1, waiting=2)
    slots = [admission.enter() for _ in range(3)]
    with pytest.raises(Overloaded, match="3 requests") as refused:
        admission.enter()
    assert refused.value.status == 429
    assert refused.value.retry_after is not None
    slots[0].release()
    admission.enter()
    assert admission.admitted == 3


async def test_requests_run_up_to_the_limit_in_order() -> None:
    admission = Admission(running=2, waiting=10)
    running, peak, done = 0, 0, []

    async def request(number: int) -> None:
        nonlocal running, peak
        slot = admission.enter()
        async with slot.turn():
            running += 1
            peak = max(peak, running)
            await asyncio.sleep(0)
            running -= 1
            done.append(number)
        slot.release()

    await asyncio.gather(*(request(number) for number in range(7)))
    assert peak == 2
    assert done == list(range(7))
    assert admission.admitted == 0


async def test_a_missed_deadline_runs_the_block_and_releases_no_slot() -> None:
    admission = Admission(running=1, waiting=2)
    entered = asyncio.Event()

    async def waiting() -> None:
        async with admission.enter().turn():
            entered.set()

    async with admission.enter().turn():
        async with admission.enter().turn(seconds=0):
            pass
        waiter = asyncio.create_task(waiting())
        for _ in range(10):
            await asyncio.sleep(0)
        assert not entered.is_set()
    await asyncio.wait_for(waiter, 5)
    assert entered.is_set()


async def test_a_cancelled_request_releases_its_slot() -> None:
    admission = Admission(running=1, waiting=2)
    entered = asyncio.Event()

    async def forever() -> None:
        async with admission.enter().turn():
            entered.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(forever())
    await entered.wait()
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    async with asyncio.timeout(5), admission.enter().turn():
        pass

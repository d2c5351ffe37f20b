"""The drain barrier holds back new requests and waits for the active ones."""

import asyncio
from contextlib import suppress

import pytest

from app.errors import EngineUnavailable, InvalidRequest
from app.serving.admission import Admission, Background, QueueSlot, preparing
from app.serving.drain import DrainBarrier

LONG = 20.0


async def drained(drain_barrier: DrainBarrier, seconds: float, log: list[str]) -> None:
    async with drain_barrier.drained(seconds):
        log.append("drained")


async def test_an_idle_barrier_drains_at_once() -> None:
    log: list[str] = []
    await asyncio.wait_for(drained(DrainBarrier(), LONG, log), 5)
    assert log == ["drained"]


async def test_active_requests_finish_and_new_ones_wait() -> None:
    drain_barrier = DrainBarrier()
    log: list[str] = []
    inside, coming = drain_barrier.barrier_pass(), drain_barrier.barrier_pass()

    async def work() -> None:
        async with inside.working():
            await asyncio.sleep(0.05)
            log.append("finished")
        inside.leave()

    async def come() -> None:
        async with coming.working():
            log.append("admitted")
        coming.leave()

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    draining = asyncio.create_task(drained(drain_barrier, LONG, log))
    await asyncio.sleep(0)
    await asyncio.gather(working, draining, come())
    assert log == ["finished", "drained", "admitted"]


async def test_a_request_beyond_the_drain_timeout_is_aborted() -> None:
    drain_barrier = DrainBarrier()
    log: list[str] = []
    inside = drain_barrier.barrier_pass()
    started = asyncio.Event()

    async def work() -> None:
        try:
            async with inside.working():
                started.set()
                with suppress(ZeroDivisionError):
                    await asyncio.Event().wait()
        finally:
            inside.leave()

    working = asyncio.create_task(work())
    await started.wait()
    await asyncio.wait_for(drained(drain_barrier, 0.01, log), 5)
    with pytest.raises(EngineUnavailable, match="replaced") as refused:
        await working
    assert refused.value.retry_after is not None
    assert log == ["drained"]
    async with asyncio.timeout(5), drain_barrier.barrier_pass().working():
        pass


async def test_a_pinned_request_that_has_not_started_is_aborted() -> None:
    """Its pinned version is no longer loaded when it is scheduled."""
    drain_barrier = DrainBarrier()
    log: list[str] = []
    inside = drain_barrier.barrier_pass()
    await inside.enter()
    await asyncio.wait_for(drained(drain_barrier, 0.01, log), 5)
    with pytest.raises(EngineUnavailable):
        async with inside.working():
            log.append("worked")
    assert log == ["drained"]


async def test_a_timeout_of_the_block_itself_is_no_abort() -> None:
    barrier_pass = DrainBarrier().barrier_pass()
    with pytest.raises(TimeoutError):
        async with barrier_pass.working(), asyncio.timeout(0.01):
            await asyncio.Event().wait()


async def test_a_failure_while_drained_opens_the_barrier() -> None:
    drain_barrier = DrainBarrier()
    with pytest.raises(RuntimeError):
        async with drain_barrier.drained(LONG):
            raise RuntimeError("cannot load")
    async with asyncio.timeout(5), drain_barrier.barrier_pass().working():
        pass


async def test_a_cancelled_waiting_request_is_not_active() -> None:
    drain_barrier, release = DrainBarrier(), asyncio.Event()

    async def hold() -> None:
        async with drain_barrier.drained(LONG):
            await release.wait()

    holding = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(drain_barrier.barrier_pass().enter())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    release.set()
    await holding
    await asyncio.wait_for(drained(drain_barrier, LONG, []), 5)


@pytest.fixture(params=["requests", "background"])
def queue(request: pytest.FixtureRequest) -> Admission | Background:
    admission = Admission(running=1, waiting=4)
    if request.param == "requests":
        return admission
    return Background(admission, idle=1, busy=1, quiet_seconds=0)


async def test_both_queues_pass_the_barrier(queue: Admission | Background) -> None:
    """The running and the queued request are aborted; the new one waits."""
    outcomes: list[str] = []

    async def ask(name: str) -> None:
        slot: QueueSlot = queue.enter()
        async with preparing(slot):
            pass
        try:
            async with slot.turn():
                if name != "late":
                    await asyncio.Event().wait()
            outcomes.append(f"{name} done")
        except EngineUnavailable:
            outcomes.append(f"{name} aborted")
        finally:
            slot.release()

    tasks = [asyncio.create_task(ask(name)) for name in ("first", "second")]
    await asyncio.sleep(0.05)
    async with queue.drain_barrier.drained(0.01):
        tasks.append(asyncio.create_task(ask("late")))
        await asyncio.sleep(0.05)
        assert sorted(outcomes) == ["first aborted", "second aborted"]
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert outcomes[-1] == "late done"


async def test_a_request_that_cannot_be_prepared_releases_its_slot() -> None:
    admission = Admission(running=1, waiting=0)
    slot = admission.enter()
    with pytest.raises(InvalidRequest):
        async with preparing(slot):
            raise InvalidRequest("not like this")
    assert admission.admitted == 0
    await asyncio.wait_for(drained(admission.drain_barrier, LONG, []), 5)

"""The drain_barrier keeps requests out while weights are replaced, and lets those inside finish."""

import asyncio
from contextlib import suppress

import pytest

from app.errors import EngineUnavailable, InvalidRequest
from app.serving.admission import Admission, Background, QueueSlot, settled
from app.serving.drain import DrainBarrier

LONG = 20.0


async def drained(drain_barrier: DrainBarrier, seconds: float, log: list[str]) -> None:
    async with drain_barrier.drained(seconds):
        log.append("drained")


async def test_nobody_inside_is_waited_for() -> None:
    log: list[str] = []
    await asyncio.wait_for(drained(DrainBarrier(), LONG, log), 5)
    assert log == ["drained"]


async def test_who_is_inside_may_finish_and_who_comes_waits() -> None:
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
            log.append("came in")
        coming.leave()

    working = asyncio.create_task(work())
    await asyncio.sleep(0)
    draining = asyncio.create_task(drained(drain_barrier, LONG, log))
    await asyncio.sleep(0)
    await asyncio.gather(working, draining, come())
    assert log == ["finished", "drained", "came in"]


async def test_who_takes_too_long_is_sent_out_and_may_come_back() -> None:
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


async def test_who_has_pinned_but_not_begun_is_not_waited_for_and_cannot_begin() -> None:
    """What it is pinned to is gone when it gets its turn."""
    drain_barrier = DrainBarrier()
    log: list[str] = []
    inside = drain_barrier.barrier_pass()
    await inside.enter()
    await asyncio.wait_for(drained(drain_barrier, 0.01, log), 5)
    with pytest.raises(EngineUnavailable):
        async with inside.working():
            log.append("worked")
    assert log == ["drained"]


async def test_a_block_that_runs_out_of_its_own_time_is_not_taken_for_sent_out() -> None:
    barrier_pass = DrainBarrier().barrier_pass()
    with pytest.raises(TimeoutError):
        async with barrier_pass.working(), asyncio.timeout(0.01):
            await asyncio.Event().wait()


async def test_a_failure_while_drained_opens_the_gate_again() -> None:
    drain_barrier = DrainBarrier()
    with pytest.raises(RuntimeError):
        async with drain_barrier.drained(LONG):
            raise RuntimeError("cannot load")
    async with asyncio.timeout(5), drain_barrier.barrier_pass().working():
        pass


async def test_who_gives_up_waiting_is_not_counted() -> None:
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


@pytest.fixture(params=["people", "background"])
def queue(request: pytest.FixtureRequest) -> Admission | Background:
    admission = Admission(running=1, waiting=4)
    if request.param == "people":
        return admission
    return Background(admission, alone=1, beside_people=1, quiet_seconds=0)


def gate_of(queue: Admission | Background) -> DrainBarrier:
    return queue.drain_barrier if isinstance(queue, Admission) else queue._people.drain_barrier


async def test_both_queues_pass_the_gate(queue: Admission | Background) -> None:
    """The one who runs and the one who waits for a turn are sent out, the one who comes waits."""
    outcomes: list[str] = []

    async def ask(name: str) -> None:
        place: QueueSlot = queue.enter()
        async with settled(place):
            pass
        try:
            async with place.turn():
                if name != "late":
                    await asyncio.Event().wait()
            outcomes.append(f"{name} done")
        except EngineUnavailable:
            outcomes.append(f"{name} sent out")
        finally:
            place.leave()

    tasks = [asyncio.create_task(ask(name)) for name in ("first", "second")]
    await asyncio.sleep(0.05)
    async with gate_of(queue).drained(0.01):
        tasks.append(asyncio.create_task(ask("late")))
        await asyncio.sleep(0.05)
        assert sorted(outcomes) == ["first sent out", "second sent out"]
    await asyncio.wait_for(asyncio.gather(*tasks), 5)
    assert outcomes[-1] == "late done"


async def test_a_request_that_cannot_be_prepared_leaves_its_place() -> None:
    admission = Admission(running=1, waiting=0)
    place = admission.enter()
    with pytest.raises(InvalidRequest):
        async with settled(place):
            raise InvalidRequest("not like this")
    assert admission.admitted == 0
    await asyncio.wait_for(drained(admission.drain_barrier, LONG, []), 5)

"""The gate keeps requests out while weights are replaced, and lets those inside finish."""

import asyncio
from contextlib import suppress

import pytest

from app.errors import EngineUnavailable, InvalidRequest
from app.serving.admission import Admission, Background, Place, settled
from app.serving.drain import Gate

LONG = 20.0


async def drained(gate: Gate, seconds: float, log: list[str]) -> None:
    async with gate.drained(seconds):
        log.append("drained")


async def test_nobody_inside_is_waited_for() -> None:
    log: list[str] = []
    await asyncio.wait_for(drained(Gate(), LONG, log), 5)
    assert log == ["drained"]


async def test_who_is_inside_may_finish_and_who_comes_waits() -> None:
    gate = Gate()
    log: list[str] = []
    inside, coming = gate.passage(), gate.passage()

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
    draining = asyncio.create_task(drained(gate, LONG, log))
    await asyncio.sleep(0)
    await asyncio.gather(working, draining, come())
    assert log == ["finished", "drained", "came in"]


async def test_who_takes_too_long_is_sent_out_and_may_come_back() -> None:
    gate = Gate()
    log: list[str] = []
    inside = gate.passage()
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
    await asyncio.wait_for(drained(gate, 0.01, log), 5)
    with pytest.raises(EngineUnavailable, match="replaced") as refused:
        await working
    assert refused.value.retry_after is not None
    assert log == ["drained"]
    async with asyncio.timeout(5), gate.passage().working():
        pass


async def test_who_has_pinned_but_not_begun_is_not_waited_for_and_cannot_begin() -> None:
    """What it is pinned to is gone when it gets its turn."""
    gate = Gate()
    log: list[str] = []
    inside = gate.passage()
    await inside.enter()
    await asyncio.wait_for(drained(gate, 0.01, log), 5)
    with pytest.raises(EngineUnavailable):
        async with inside.working():
            log.append("worked")
    assert log == ["drained"]


async def test_a_block_that_runs_out_of_its_own_time_is_not_taken_for_sent_out() -> None:
    passage = Gate().passage()
    with pytest.raises(TimeoutError):
        async with passage.working(), asyncio.timeout(0.01):
            await asyncio.Event().wait()


async def test_a_failure_while_drained_opens_the_gate_again() -> None:
    gate = Gate()
    with pytest.raises(RuntimeError):
        async with gate.drained(LONG):
            raise RuntimeError("cannot load")
    async with asyncio.timeout(5), gate.passage().working():
        pass


async def test_who_gives_up_waiting_is_not_counted() -> None:
    gate, release = Gate(), asyncio.Event()

    async def hold() -> None:
        async with gate.drained(LONG):
            await release.wait()

    holding = asyncio.create_task(hold())
    await asyncio.sleep(0)
    waiting = asyncio.create_task(gate.passage().enter())
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    release.set()
    await holding
    await asyncio.wait_for(drained(gate, LONG, []), 5)


@pytest.fixture(params=["people", "background"])
def queue(request: pytest.FixtureRequest) -> Admission | Background:
    admission = Admission(running=1, waiting=4)
    if request.param == "people":
        return admission
    return Background(admission, alone=1, beside_people=1, quiet_seconds=0)


def gate_of(queue: Admission | Background) -> Gate:
    return queue.gate if isinstance(queue, Admission) else queue._people.gate


async def test_both_queues_pass_the_gate(queue: Admission | Background) -> None:
    """The one who runs and the one who waits for a turn are sent out, the one who comes waits."""
    outcomes: list[str] = []

    async def ask(name: str) -> None:
        place: Place = queue.enter()
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
    await asyncio.wait_for(drained(admission.gate, LONG, []), 5)

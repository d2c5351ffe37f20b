import asyncio

import pytest

from app.errors import EngineError
from app.search.run import SingleFlight


class Work:
    """Work that ends when the test says so, and takes its time to end when it is cancelled."""

    def __init__(self) -> None:
        self.started = 0
        self.cancelled = 0
        self.begun = asyncio.Event()
        self.result: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    async def __call__(self) -> str:
        self.started += 1
        self.begun.set()
        try:
            return await asyncio.shield(self.result)
        except asyncio.CancelledError:
            for _ in range(20):
                await asyncio.sleep(0)
            self.cancelled += 1
            raise


async def waiters(once: SingleFlight[str], work: Work, number: int) -> list[asyncio.Task[str]]:
    tasks = [asyncio.create_task(once.get("key", work)) for _ in range(number)]
    await work.begun.wait()
    return tasks


async def stop(task: asyncio.Task[str]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_everybody_gets_the_result_of_the_same_work() -> None:
    once, work = SingleFlight[str](), Work()
    tasks = await waiters(once, work, 3)
    work.result.set_result("done")
    assert await asyncio.gather(*tasks) == ["done"] * 3
    assert work.started == 1


async def test_a_result_is_kept() -> None:
    once, work = SingleFlight[str](), Work()
    work.result.set_result("done")
    assert [await once.get("key", work) for _ in range(3)] == ["done"] * 3
    assert work.started == 1


async def test_another_key_is_other_work() -> None:
    once, work = SingleFlight[str](), Work()
    work.result.set_result("done")
    await once.get("key", work)
    await once.get("other", work)
    assert work.started == 2


async def test_work_goes_on_while_somebody_still_waits() -> None:
    once, work = SingleFlight[str](), Work()
    first, second, third = await waiters(once, work, 3)
    await stop(first)
    await stop(third)
    work.result.set_result("done")
    assert await second == "done"
    assert (work.started, work.cancelled) == (1, 0)


async def test_work_is_cancelled_before_the_last_waiter_is_gone() -> None:
    once, work = SingleFlight[str](), Work()
    first, last = await waiters(once, work, 2)
    await stop(first)
    assert work.cancelled == 0
    await stop(last)
    assert work.cancelled == 1


async def test_cancelled_work_is_started_again_when_asked_for_again() -> None:
    once, work = SingleFlight[str](), Work()
    for task in await waiters(once, work, 2):
        await stop(task)
    work.result.set_result("done")
    assert await once.get("key", work) == "done"
    assert work.started == 2


async def test_an_error_reaches_everybody() -> None:
    once, work = SingleFlight[str](), Work()
    tasks = await waiters(once, work, 3)
    work.result.set_exception(EngineError("broken"))
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(error) for error in results] == ["broken"] * 3
    assert work.started == 1


async def test_work_that_failed_is_done_again_when_asked_for_again() -> None:
    once, failing, working = SingleFlight[str](), Work(), Work()
    failing.result.set_exception(EngineError("broken"))
    with pytest.raises(EngineError):
        await once.get("key", failing)
    working.result.set_result("done")
    assert await once.get("key", working) == "done"

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.constraints.checker import Workers, start_process


@pytest.fixture
async def workers() -> AsyncIterator[Workers]:
    made = Workers(processes=1, seconds=100.0, initializer=gc.enable)
    yield made
    await made.close()


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A call that reads it hangs until the test writes; opening it waits for such a call."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    return path


async def test_runs_in_another_process(workers: Workers) -> None:
    assert await workers.run(os.getpid) != os.getpid()


async def test_idle_processes_killed_from_outside_are_replaced(workers: Workers) -> None:
    for _ in range(3):
        process = await workers.run(os.getpid)
        os.kill(process, signal.SIGKILL)
        assert await workers.run(os.getpid) != process


async def test_a_call_whose_process_is_killed_is_tried_again(workers: Workers, pipe: Path) -> None:
    process = await workers.run(os.getpid)
    call = asyncio.create_task(workers.run(pipe.read_text))
    with await asyncio.to_thread(pipe.open, "w"):
        os.unlink(pipe)
        os.mkfifo(pipe)
        os.kill(process, signal.SIGKILL)
    with await asyncio.to_thread(pipe.open, "w") as writer:
        writer.write("done")
    assert await call == "done"


async def test_a_call_that_kills_its_process_fails_and_the_next_one_works(
    workers: Workers,
) -> None:
    with pytest.raises(OSError, match="Abnormal termination"):
        await workers.run(os.abort)
    assert await workers.run(abs, -1) == 1


async def test_cancelling_a_running_call_frees_its_process(workers: Workers, pipe: Path) -> None:
    call = asyncio.create_task(workers.run(pipe.read_text))
    with await asyncio.to_thread(pipe.open, "w"):
        call.cancel()
        async with asyncio.timeout(20):
            assert await workers.run(abs, -1) == 1
    assert call.cancelled()


async def test_a_waiting_call_can_be_cancelled(workers: Workers, pipe: Path) -> None:
    running = asyncio.create_task(workers.run(pipe.read_text))
    with await asyncio.to_thread(pipe.open, "w") as writer:
        waiting = asyncio.create_task(workers.run(os.abort))
        await asyncio.gather(waiting, asyncio.to_thread(waiting.cancel), return_exceptions=True)
        writer.write("done")
    assert await running == "done"
    assert await workers.run(abs, -1) == 1


async def test_an_error_of_the_function_is_raised_here(workers: Workers) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        await workers.run(int, "x")


async def test_nothing_runs_after_closing(workers: Workers) -> None:
    process = await workers.run(os.getpid)
    await workers.close()
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
    with pytest.raises(RuntimeError, match="stopped"):
        await workers.run(os.getpid)


async def test_a_checking_process_can_be_ended_inside_a_c_function() -> None:
    workers = Workers(processes=1, seconds=100.0, initializer=start_process)
    try:
        assert await workers.run(signal.getsignal, signal.SIGTERM) == signal.SIG_DFL
    finally:
        await workers.close()

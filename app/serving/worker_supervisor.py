"""Supervises the worker as a child process: starts, restarts with backoff, and terminates it."""

import asyncio
import logging
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import Callable, Sequence

from app.config.settings import Settings
from app.engine.orphans import SERVER_PID

log = logging.getLogger(__name__)

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
HEALTHY_SECONDS = 60.0
"""After a run of this length the backoff starts again."""
GRACE_SECONDS = 10.0

COMMAND = (sys.executable, "-m", "worker")


async def keep_worker(
    settings: Settings,
    command: Sequence[str] = COMMAND,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Keep a worker with these settings running until cancelled; then terminate it."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        started = clock()
        process = await _start(settings, command)
        try:
            code = await process.wait()
        finally:
            await _end(process)
        if clock() - started >= HEALTHY_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        log.error("the worker exited with code %d; restarting it in %.0f s", code, pause)
        await asyncio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


async def _start(settings: Settings, command: Sequence[str]) -> Process:
    """Start the worker, with the settings as environment variables."""
    values = settings.model_dump(mode="json", exclude_none=True)
    environment = {f"SPAR_{name.upper()}": _text(value) for name, value in values.items()}
    return await asyncio.create_subprocess_exec(
        *command,
        # Ctrl-C in a terminal reaches only the server, which terminates the worker.
        start_new_session=True,
        env=os.environ | environment | {SERVER_PID: str(os.getpid())},
    )


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    from pydantic_core import to_json

    return to_json(value).decode()


async def _end(process: Process) -> None:
    if process.returncode is not None:
        return
    process.terminate()
    try:
        await asyncio.wait_for(process.wait(), GRACE_SECONDS)
    except TimeoutError:
        process.kill()
        await process.wait()

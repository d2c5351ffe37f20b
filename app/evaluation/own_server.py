"""A server started for a run: a child process that ends with it."""

import asyncio
import os
import select
import signal
import socket
import threading
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx2

from app.errors import ConfigurationError

POLL_SECONDS = 0.5
READY_SECONDS = 1800.0
"""Enough to download and load a large model."""
GRACE_SECONDS = 45.0
"""More than the server itself gives its running requests by default."""
PARENT_PID = "SPAR_PARENT_PID"

_TAIL_LINES = 12


def free_port() -> int:
    """A port of the loopback address on which nothing listens now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@asynccontextmanager
async def own_server(
    command: Sequence[str],
    url: str,
    environment: Mapping[str, str],
    *,
    ready_seconds: float = READY_SECONDS,
    grace_seconds: float = GRACE_SECONDS,
) -> AsyncIterator[None]:
    """Run a server until the context ends, whatever ends it; inside, it is ready.

    command: the program; it gets SIGTERM at the end, and SIGKILL with all its processes when it
        has not ended after `grace_seconds`. If it calls `end_with_parent`, it ends even when this
        process is killed.
    url: the base URL of `/readyz`. environment: added to this process's own.

    Raises:
        ConfigurationError: It ended before it was ready, or was not ready within `ready_seconds`;
            the text has the last lines of its output.
    """
    with TemporaryDirectory(prefix="spar-eval-") as folder:
        log = Path(folder) / "server.log"
        process = await _start(command, environment, log)
        try:
            await _until_ready(process, url, log, ready_seconds)
            yield
        finally:
            # Shielded: a second Ctrl-C must not leave the process running.
            await _finish(asyncio.create_task(_end(process, grace_seconds)))


def end_with_parent() -> None:
    """Terminate this process when the process of `SPAR_PARENT_PID`, if set, has ended."""
    parent = os.environ.pop(PARENT_PID, None)
    if parent is not None:
        threading.Thread(target=_watch, args=(int(parent),), daemon=True).start()


def _watch(parent: int) -> None:
    with suppress(ProcessLookupError):  # It has ended already.
        handle = os.pidfd_open(parent)
        select.select([handle], [], [])
    os.kill(os.getpid(), signal.SIGTERM)


async def _start(command: Sequence[str], environment: Mapping[str, str], log: Path) -> Process:
    with log.open("wb") as output:
        return await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=asyncio.subprocess.STDOUT,
            # Ctrl-C in a terminal signals only the run, which then stops its server.
            start_new_session=True,
            env=os.environ | environment | {PARENT_PID: str(os.getpid())},
        )


async def _until_ready(process: Process, url: str, log: Path, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds), httpx2.AsyncClient(trust_env=False) as client:
            while not await _ready(client, url):
                if process.returncode is not None:
                    raise ConfigurationError(
                        "the server started for this run ended before it was ready (exit code"
                        f" {process.returncode}): {_tail(log)}"
                    )
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError as error:
        raise ConfigurationError(
            f"the server started for this run was not ready after {seconds:g} seconds: {_tail(log)}"
        ) from error


async def _ready(client: httpx2.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/readyz")).is_success
    except httpx2.RequestError:
        return False


def _tail(log: Path) -> str:
    lines = log.read_text(errors="replace").strip().splitlines()
    return "\n".join(lines[-_TAIL_LINES:]) or "it wrote no output"


async def _finish(ending: "asyncio.Task[None]") -> None:
    """Wait for a task even while being cancelled, then re-raise the cancellation."""
    cancelled: asyncio.CancelledError | None = None
    while not ending.done():
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError as error:
            cancelled = error
    ending.result()
    if cancelled is not None:
        raise cancelled


async def _end(process: Process, grace_seconds: float) -> None:
    if process.returncode is None:
        with suppress(ProcessLookupError):
            process.terminate()
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), grace_seconds)
    # The engine is a separate process of the session, and may outlive the server.
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()

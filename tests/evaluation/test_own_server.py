"""A server of the run's own is a real process: waited for, and ended whatever happens."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from app.errors import ConfigurationError
from app.evaluation import own_server as module
from app.evaluation.own_server import free_port, own_server

SECONDS_UNTIL_STUCK = 30

SERVER = """
import http.server, os, signal, subprocess, sys, time
port, notes, kind = int(sys.argv[1]), sys.argv[2], sys.argv[3]
if kind == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
engine = subprocess.Popen([sys.executable, "-S", "-c", "import time; time.sleep(3600)"])
open(notes, "a").write(f"{os.getpid()} {engine.pid}\\n")
if kind == "broken":
    print("loading\\nthe model is damaged", flush=True)
    engine.kill()
    sys.exit(3)
if kind == "slow":
    time.sleep(3600)
asked = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global asked
        asked += 1
        self.send_response(503 if asked < 3 else 200)
        self.end_headers()
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""
"""A fake server: ready at the third poll, with a child process as its engine."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shortens the polling interval."""
    monkeypatch.setattr(module, "POLL_SECONDS", 0.02)


@asynccontextmanager
async def running(
    notes: Path, kind: str = "good", *, ready: float = 20.0, grace: float = 20.0
) -> AsyncIterator[None]:
    """The fake server as an own server."""
    port = free_port()
    command = (sys.executable, "-S", "-c", SERVER, str(port), str(notes), kind)
    url = f"http://127.0.0.1:{port}"
    async with own_server(command, url, {}, ready_seconds=ready, grace_seconds=grace):
        yield


def processes(notes: Path) -> list[int]:
    """The process ids of server and engine."""
    return [int(word) for word in notes.read_text().split()]


def alive(notes: Path) -> list[int]:
    """Those of the two that still run; one that has ended and not been collected does not."""
    return [
        process
        for process in processes(notes)
        if psutil.pid_exists(process) and psutil.Process(process).status() != psutil.STATUS_ZOMBIE
    ]


async def gone(notes: Path) -> bool:
    """Whether both end, soon."""
    async with asyncio.timeout(SECONDS_UNTIL_STUCK):
        while alive(notes):  # noqa: ASYNC110 - nothing says when another process has ended
            await asyncio.sleep(0.02)
    return True


async def test_server_is_ready_inside_and_stopped_afterwards(tmp_path: Path) -> None:
    async with running(notes := tmp_path / "notes"):
        assert len(alive(notes)) == 2
    assert await gone(notes)


async def test_server_is_stopped_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="of the run"):
        async with running(notes := tmp_path / "notes"):
            raise ValueError("of the run")
    assert await gone(notes)


@pytest.mark.parametrize("times", [1, 3])
async def test_server_is_stopped_after_repeated_cancellation(tmp_path: Path, times: int) -> None:
    notes, inside = tmp_path / "notes", asyncio.Event()

    async def use() -> None:
        async with running(notes):
            inside.set()
            await asyncio.Event().wait()

    using = asyncio.create_task(use())
    await inside.wait()
    for _ in range(times):
        using.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await using
    assert await gone(notes)


async def test_server_is_stopped_when_cancelled_during_start(tmp_path: Path) -> None:
    notes = tmp_path / "notes"

    async def use() -> None:
        async with running(notes, "slow"):
            raise AssertionError

    using = asyncio.create_task(use())
    async with asyncio.timeout(SECONDS_UNTIL_STUCK):
        while not notes.exists() or not notes.read_text():  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.02)
    using.cancel()
    with pytest.raises(asyncio.CancelledError):
        await using
    assert await gone(notes)


async def test_server_ignoring_sigterm_is_killed_with_its_engine(tmp_path: Path) -> None:
    async with running(notes := tmp_path / "notes", "deaf", grace=0.1):
        pass
    assert await gone(notes)


async def test_failed_start_reports_the_log(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"exit code 3.*\n?.*the model is damaged"):
        async with running(tmp_path / "notes", "broken"):
            raise AssertionError
    assert await gone(tmp_path / "notes")


async def test_server_that_is_never_ready_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="not ready after 5 seconds: it wrote no output"):
        async with running(tmp_path / "notes", "slow", ready=5):
            raise AssertionError
    assert await gone(tmp_path / "notes")


CHILD = """
import os, sys, time
from app.evaluation.own_server import end_with_parent
end_with_parent()
open(sys.argv[1], "w").write(f"{os.getpid()}\\n")
time.sleep(3600)
"""
PARENT = """
import asyncio, sys
from app.evaluation.own_server import own_server
async def main():
    command = (sys.executable, "-c", sys.argv[1], sys.argv[2])
    async with own_server(command, "http://127.0.0.1:9", {}):
        pass
asyncio.run(main())
"""


def test_server_ends_when_the_run_is_killed(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    parent = subprocess.Popen(
        [sys.executable, "-c", PARENT, CHILD, str(notes)], env=os.environ, cwd=Path.cwd()
    )
    end = time.monotonic() + SECONDS_UNTIL_STUCK
    while not (notes.exists() and notes.read_text()) and time.monotonic() < end:
        time.sleep(0.02)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    assert asyncio.run(gone(notes))

"""Nothing that the benchmark starts outlives it."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import psutil
import pytest

from app.errors import ConfigurationError
from benchmarks.rivals.children import ROOT, child, client, run_to_end
from benchmarks.rivals.clients.protocol import Job, Question
from benchmarks.servers import Command, running

GRANDCHILD = "import subprocess, sys; p = subprocess.Popen(['sleep', '600']); {after}"
"""A program that starts a child and writes its process id to the given file."""
WRITE = "open(sys.argv[1], 'w').write(str(p.pid)); p.wait()"
SECONDS = 20


async def written(path: Path) -> int:
    """The number in a file, when it exists."""
    async with asyncio.timeout(SECONDS):
        while not path.exists() or not path.read_text():  # noqa: ASYNC110, ASYNC240
            await asyncio.sleep(0.02)
    return int(path.read_text())  # noqa: ASYNC240


async def gone(process_id: int) -> None:
    """Returns when a process has ended."""
    async with asyncio.timeout(SECONDS):
        while _runs(process_id):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def _runs(process_id: int) -> bool:
    try:
        return bool(psutil.Process(process_id).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


async def test_process_group_is_killed_on_cancellation(
    tmp_path: Path,
) -> None:
    file = tmp_path / "pid"

    async def use() -> None:
        program = GRANDCHILD.format(after=WRITE)
        with (tmp_path / "log").open("wb") as output:
            async with child(sys.executable, "-c", program, str(file), output=output):
                await asyncio.Event().wait()

    user = asyncio.create_task(use())
    grandchild = await written(file)
    user.cancel()
    await asyncio.gather(user, return_exceptions=True)

    await gone(grandchild)


async def test_process_group_is_killed_when_the_server_exits(tmp_path: Path) -> None:
    file = tmp_path / "pid"
    program = GRANDCHILD.format(after=f"open({str(file)!r}, 'w').write(str(p.pid))") + dedent(
        """
        from http.server import BaseHTTPRequestHandler, HTTPServer
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.end_headers()
        HTTPServer(("127.0.0.1", int(sys.argv[-1])), Handler).serve_forever()
        """
    )

    async with running(Command("stand-in", ["-c", program], "/"), tmp_path):
        grandchild = await written(file)
        assert _runs(grandchild)

    await gone(grandchild)


SIGTERM_PROGRAM = """
import asyncio, sys
from benchmarks.rivals.children import child, ending_in_order

async def main():
    with ending_in_order(), open(sys.argv[2], "wb") as log:
        async with child(sys.executable, "-c", {grandchild!r}, sys.argv[1], output=log):
            await asyncio.Event().wait()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("sent", "code"),
    [(signal.SIGTERM, 128 + signal.SIGTERM), (signal.SIGINT, -signal.SIGINT)],
    ids=["SIGTERM", "Ctrl-C"],
)
async def test_sigterm_stops_the_benchmarks_processes(tmp_path: Path, sent: int, code: int) -> None:
    file = tmp_path / "pid"
    program = SIGTERM_PROGRAM.format(grandchild=GRANDCHILD.format(after=WRITE))
    arguments = [sys.executable, "-c", program, str(file), str(tmp_path / "log")]
    benchmark = subprocess.Popen(arguments, cwd=ROOT, stderr=subprocess.DEVNULL)  # noqa: ASYNC220
    grandchild = await written(file)

    benchmark.send_signal(sent)

    assert await asyncio.to_thread(benchmark.wait, SECONDS) == code
    await gone(grandchild)


async def test_failed_program_raises_with_the_end_of_its_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with pytest.raises(ConfigurationError, match="no such index"):
        await run_to_end(sys.executable, "-c", "raise SystemExit('no such index')", log=log)


async def test_failed_contender_raises_with_the_end_of_its_log(tmp_path: Path) -> None:
    module = "benchmarks.rivals.clients.generate"
    nowhere = Job("http://127.0.0.1:9", 1, True, 4, 4, [Question("s", "u")], {"mode": "bfs"})
    async with client("ours", None, module, tmp_path) as started:
        with pytest.raises(RuntimeError, match=r"(?s)ours ended.*ConnectError"):
            await started.do(nowhere)

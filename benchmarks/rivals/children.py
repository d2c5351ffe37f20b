"""Processes that the benchmark starts, each in a group of its own that never outlives its use."""

import asyncio
import json
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from hashlib import blake2b
from pathlib import Path
from typing import IO, Any

from app.errors import ConfigurationError
from app.model_files.resolve import _user_cache
from benchmarks.rivals.clients.protocol import Job, Result

ROOT = Path(__file__).parents[2]
LONGEST_LINE = 2**26
"""Bytes of one job's answers."""
LAST_LINES = 20


@asynccontextmanager
async def child(*arguments: str, output: IO[bytes], talk: bool = False) -> AsyncIterator[Process]:
    """Run a program from the repository's root; at the end of the block its group is killed.

    What it prints goes to `output`. `talk`: it is written to and read from instead.
    """
    process = await asyncio.create_subprocess_exec(
        *arguments,
        stdin=PIPE if talk else asyncio.subprocess.DEVNULL,
        stdout=PIPE if talk else output,
        stderr=output,
        cwd=ROOT,
        limit=LONGEST_LINE,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def run_to_end(*arguments: str, log: Path) -> None:
    """Run a program that should succeed. Raises `ConfigurationError` with its last words."""
    with log.open("ab") as output:
        async with child(*arguments, output=output) as process:
            code = await process.wait()
    if code != 0:
        raise ConfigurationError(f"{' '.join(arguments)} failed:\n{last_words(log)}")


def last_words(log: Path) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])


class Client:
    """A contender's process."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self._name = name
        self._process = process
        self._log = log

    async def do(self, job: Job) -> Result:
        """Have a job done. Raises RuntimeError when the process ends over it."""
        assert self._process.stdin is not None, "opened with a pipe"
        with suppress(BrokenPipeError, ConnectionResetError):  # it has ended: hear() tells
            self._process.stdin.write(job.to_json().encode() + b"\n")
            await self._process.stdin.drain()
        return Result.from_json(await self.hear())

    async def hear(self) -> dict[str, Any]:
        """The next thing the process says."""
        assert self._process.stdout is not None, "opened with a pipe"
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended:\n{last_words(self._log)}")
        message: dict[str, Any] = json.loads(line)
        return message


@asynccontextmanager
async def client(name: str, python: Path | None, module: str, logs: Path) -> AsyncIterator[Client]:
    """A contender's process that has imported everything; `python` None is this interpreter."""
    log = logs / f"{module}.log"
    program = str(python or sys.executable)
    with log.open("wb") as output:
        async with child(program, "-m", module, output=output, talk=True) as process:
            started = Client(name, process, log)
            await started.hear()
            yield started


@contextmanager
def ending_in_order() -> Iterator[None]:
    """Make SIGTERM end the running task as Ctrl-C does, so that all it started is stopped."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    assert task is not None, "called in a task"
    told: list[int] = []

    def end() -> None:
        told.append(signal.SIGTERM)
        task.cancel()

    loop.add_signal_handler(signal.SIGTERM, end)
    try:
        yield
    except asyncio.CancelledError:
        if told:
            raise SystemExit(128 + signal.SIGTERM) from None
        raise
    finally:
        loop.remove_signal_handler(signal.SIGTERM)


REQUIREMENTS = Path(__file__).parents[1] / "rivals_requirements"


async def python_of(peer: str, *, requirements: Path = REQUIREMENTS) -> Path:
    """The interpreter of the environment that holds exactly the peer's pinned requirements.

    It is built first where it is missing or where the requirements or the Python have changed;
    pip takes its index from its own settings. Raises `ConfigurationError`.
    """
    wanted = requirements / f"{peer}.txt"
    identity = wanted.read_bytes() + sys.version.encode()
    folder = _environments() / f"{peer}-{blake2b(identity, digest_size=4).hexdigest()}"
    python, complete = folder / "bin" / "python", folder / "complete"
    if not complete.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.parent.mkdir(parents=True, exist_ok=True)
        log = folder.with_suffix(".log")
        log.write_bytes(b"")
        await run_to_end(sys.executable, "-m", "venv", str(folder), log=log)
        install = (*("-m", "pip", "install", "--no-deps"), *("--requirement", str(wanted)))
        await run_to_end(str(python), *install, log=log)
        complete.touch()
    return python


def _environments() -> Path:
    return _user_cache() / "benchmarks"

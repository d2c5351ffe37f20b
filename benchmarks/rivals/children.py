"""Child processes of the benchmark, each in a process group that is killed after its use."""

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
    """Run a program to its end.

    Raises:
        ConfigurationError: It failed; the text has the end of its output.
    """
    with log.open("ab") as output:
        async with child(*arguments, output=output) as process:
            code = await process.wait()
    if code != 0:
        raise ConfigurationError(f"{' '.join(arguments)} failed:\n{log_tail(log)}")


def log_tail(log: Path) -> str:
    """The end of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-LAST_LINES:])


class Client:
    """A contender's process."""

    def __init__(self, name: str, process: Process, log: Path) -> None:
        self._name = name
        self._process = process
        self._log = log

    async def do(self, job: Job) -> Result:
        """Run a job.

        Raises:
            RuntimeError: The process ended before it returned a result.
        """
        assert self._process.stdin is not None, "opened with a pipe"
        with suppress(BrokenPipeError, ConnectionResetError):  # it has ended: hear() raises
            self._process.stdin.write(job.to_json().encode() + b"\n")
            await self._process.stdin.drain()
        return Result.from_json(await self.hear())

    async def hear(self) -> dict[str, Any]:
        """The process's next message."""
        assert self._process.stdout is not None, "opened with a pipe"
        line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._name} ended:\n{log_tail(self._log)}")
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
    """Make SIGTERM cancel the running task as Ctrl-C does, so that its children are stopped."""
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

    It is built if it is missing, or if the requirements or the Python version have changed; pip
    uses its configured index.

    Raises:
        ConfigurationError: It cannot be built.
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

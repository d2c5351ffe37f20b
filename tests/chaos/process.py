"""A process of the system under test: started, frozen, killed, and started again."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

END_SECONDS = 60


@dataclass
class Part:
    """One process by its command. What it writes is kept in `log`."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    starts: int = 0
    crashes: list[str] = field(default_factory=list)
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the fault that the process has at the moment: it has one at a time."""
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The number of the running process."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether it has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it; in a group of its own, so that a Ctrl-C is for the tests."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=os.environ | self.environment,
                start_new_session=True,
            )
        self.starts += 1

    def send(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.running:
            os.kill(self.pid, number)

    async def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait for the end; who does not end in time is killed."""
        self.send(number)
        if not await asyncio.to_thread(self._wait):
            self.send(signal.SIGKILL)
            await asyncio.to_thread(self._wait)

    async def freeze(self, seconds: float) -> None:
        """Stop it for a while, and let it go on."""
        await freeze([psutil.Process(self.pid)] if self.running else [], seconds)

    def revive(self) -> None:
        """Start it again if it has ended by itself, as whatever keeps services running does.

        It may end where it cannot start, and says why; anything else is noted in `crashes`.
        """
        if self._process is None or self.running:
            return
        last = self.log.read_text(errors="replace").rstrip().rpartition("\n")[2]
        if not last.startswith("error: "):
            self.crashes.append(f"{self.name} ended with {self._process.returncode}: {last}")
        self.start()

    def family(self) -> list[psutil.Process]:
        """The processes that it started, and those that they started."""
        try:
            return list(psutil.Process(self.pid).children(recursive=True))
        except psutil.NoSuchProcess:
            return []

    def _wait(self) -> bool:
        if self._process is None:
            return True
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)
        return not self.running


async def freeze(processes: Sequence[psutil.Process], seconds: float) -> None:
    """Stop processes for a while, and let them go on, whatever happens."""
    try:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        await asyncio.sleep(seconds)
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def named(processes: Sequence[psutil.Process], *words: str) -> list[psutil.Process]:
    """Those whose command line has all of the words."""
    return [process for process in processes if all(word in command(process) for word in words)]


def command(process: psutil.Process) -> str:
    """Its command line; empty when it has ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def alive(process: psutil.Process) -> bool:
    """Whether it runs: it has not ended, and does not wait to be reaped."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

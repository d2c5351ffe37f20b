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
    """One process; its output is appended to `log`."""

    name: str
    command: Sequence[str]
    environment: dict[str, str]
    log: Path
    starts: int = 0
    crashes: list[str] = field(default_factory=list)
    busy: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by the fault in progress: one per process at a time."""
    _process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the process is running."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start it in a new session, so that Ctrl-C does not reach it."""
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
        """Send a signal, if it is running."""
        if self.running:
            os.kill(self.pid, number)

    async def end(self, number: int = signal.SIGTERM) -> None:
        """Send a signal and wait for the end; kill it after a timeout."""
        self.send(number)
        if not await asyncio.to_thread(self._wait):
            self.send(signal.SIGKILL)
            await asyncio.to_thread(self._wait)

    async def freeze(self, seconds: float) -> None:
        """Suspend it for `seconds`."""
        await freeze([psutil.Process(self.pid)] if self.running else [], seconds)

    def revive(self) -> None:
        """Restart it if it has ended, as a service manager does.

        An end without a logged startup error is recorded in `crashes`.
        """
        if self._process is None or self.running:
            return
        last = self.log.read_text(errors="replace").rstrip().rpartition("\n")[2]
        if not last.startswith("error: "):
            self.crashes.append(f"{self.name} ended with {self._process.returncode}: {last}")
        self.start()

    def family(self) -> list[psutil.Process]:
        """Its descendant processes."""
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
    """Suspend processes for `seconds`."""
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
    """The processes whose command line contains all of the words."""
    return [process for process in processes if all(word in command(process) for word in words)]


def command(process: psutil.Process) -> str:
    """The command line; empty after its end."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


def alive(process: psutil.Process) -> bool:
    """Whether it is running and not a zombie."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False

"""Runs one training in a separate process group, and reads its progress."""

import asyncio
import os
import re
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import training
from app.errors import SparError
from training.config import TrainingConfig, TrainingStep, parse_failure
from training.watch import WORKER_PID


class TrainingFailed(SparError):
    """A training run ended without a result; the text is the reason."""

    type = "training_failed"
    title = "Training failed"


KILLED = re.compile(r"died with <Signals\.(SIG\w+)|Signal \d+ \((SIG\w+)\) received by PID")
"""How Python's `subprocess` and torch's launcher report a child that a signal ended."""


@dataclass(frozen=True, slots=True)
class ExitStatus:
    """The signal that killed the trainer, or the reason it failed; neither after success."""

    signal: str | None = None
    reason: str | None = None


def read_exit_status(status: int, stderr: str) -> ExitStatus:
    """The trainer's exit status, from the launcher's and the end of its stderr."""
    if status == 0:
        return ExitStatus()
    failure = parse_failure(stderr)
    if failure is not None:
        return ExitStatus(reason=failure[1])
    if status < 0:
        return ExitStatus(signal=signal.Signals(-status).name)
    killed = KILLED.findall(stderr)
    if killed:
        return ExitStatus(signal="".join(killed[-1]))
    lines = stderr.strip().splitlines()
    return ExitStatus(reason=lines[-1].strip() if lines else f"exit status {status}")


class ProgressReader:
    """Reads what is appended to a progress file from now on."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._at = file.stat().st_size if file.exists() else 0

    def read(self) -> Iterator[TrainingStep]:
        """The steps whose lines were completed since the last call."""
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # Still being written.
                self._at += len(line)
                step = TrainingStep.from_line(line.decode(errors="replace"))
                if step is not None:
                    yield step


POLL_SECONDS = 0.2
GRACE_SECONDS = 5.0
KEPT_BYTES = 64 * 1024
GPUS = ("/dev/nvidiactl", "/dev/kfd")

OnProgress = Callable[[TrainingStep], None]


class Train(Protocol):
    """Runs a training; see `run_training`."""

    async def __call__(
        self,
        config: TrainingConfig,
        on_progress: OnProgress,
        *,
        accelerate_config: Path | None = None,
        niceness: int = 0,
    ) -> None:
        """Train until the result is at `config.output`.

        Raises:
            TrainingFailed: The training ended without a result.
        """
        ...


async def run_training(
    config: TrainingConfig,
    on_progress: OnProgress,
    *,
    accelerate_config: Path | None = None,
    niceness: int = 0,
    attempts: int = 3,
) -> None:
    """Train by `accelerate launch` until the result is at `config.output`; a no-op if it exists.

    A trainer killed by a signal is restarted from its last checkpoint, up to `attempts` starts in
    all. Cancelling ends the trainer; a later call resumes the training. The end of stderr is kept
    in `<output>.log`.

    Args:
        config: The training.
        on_progress: Called with every step once, and again only for steps repeated after a crash;
            not with steps that an earlier call's trainer reported.
        accelerate_config: A file for `accelerate launch`; None for one process on this machine.
        niceness: The trainer's niceness (0..19).
        attempts: Most starts.

    Raises:
        TrainingFailed: The training ended without a result; the text is the reason.
    """
    if config.finished:
        return
    config.output.parent.mkdir(parents=True, exist_ok=True)
    file = config.output.with_name(f"{config.output.name}.json")
    config.write(file)
    launch = launch_command(config, accelerate_config)
    command = ["nice", "-n", str(niceness), *launch, "-m", "training", str(file)]
    steps = ProgressReader(config.progress)
    exit_status = ExitStatus()
    for _ in range(attempts):
        exit_status = await _attempt(command, config, steps, on_progress, niceness)
        if exit_status.signal is None:
            break
    if not config.finished:
        raise TrainingFailed(_explain(exit_status, attempts))


def launch_command(config: TrainingConfig, accelerate_config: Path | None) -> list[str]:
    """The command line of `accelerate launch`, up to the program."""
    launch = [sys.executable, "-m", "accelerate.commands.launch"]
    if accelerate_config is not None:
        return [*launch, "--config_file", str(accelerate_config.absolute())]
    threads = config.threads or os.cpu_count() or 1
    flags = ["--num_processes=1", "--num_machines=1", f"--num_cpu_threads_per_process={threads}"]
    flags += ["--mixed_precision=no", "--dynamo_backend=no"]
    has_gpu = any(Path(device).exists() for device in GPUS)
    return [*launch, *flags] if has_gpu else [*launch, *flags, "--cpu"]


def renice_session(pid: int, niceness: int) -> None:
    """Set the niceness of the session of process `pid`.

    Where Linux shares processor time between sessions first (autogroup), a process's own niceness
    counts only inside its session: a `nice` trainer took half of the server's processor time.
    """
    # The file does not exist where the kernel does not group by session.
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))


async def _attempt(
    command: list[str],
    config: TrainingConfig,
    steps: ProgressReader,
    on_progress: OnProgress,
    niceness: int,
) -> ExitStatus:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
        start_new_session=True,
        # The folder in which `-m training` finds this installation's package.
        cwd=Path(training.__file__).parent.parent,
        env=os.environ | {WORKER_PID: str(os.getpid())},
    )
    renice_session(process.pid, niceness)
    stderr = asyncio.create_task(_read_end(process))
    try:
        await _follow(process, steps, on_progress)
    finally:
        await _end_group(process)
        text = await stderr
        _keep(text, config)
    return read_exit_status(process.returncode or 0, text)


async def _follow(process: Process, steps: ProgressReader, on_progress: OnProgress) -> None:
    ended = asyncio.create_task(process.wait())
    try:
        while not ended.done():
            await asyncio.wait({ended}, timeout=POLL_SECONDS)
            for step in steps.read():
                on_progress(step)
    finally:
        ended.cancel()


async def _end_group(process: Process) -> None:
    """End the launcher and its children by SIGTERM, then SIGKILL; at once if cancelled again."""
    try:
        _signal_group(process, signal.SIGTERM)
        with suppress(TimeoutError):
            await asyncio.wait_for(process.wait(), GRACE_SECONDS)
    finally:
        _signal_group(process, signal.SIGKILL)


def _signal_group(process: Process, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


async def _read_end(process: Process) -> str:
    """The last `KEPT_BYTES` that the process writes to stderr."""
    kept = b""
    if process.stderr is not None:
        while part := await process.stderr.read(KEPT_BYTES):
            kept = (kept + part)[-KEPT_BYTES:]
    return kept.decode(errors="replace")


def _keep(stderr: str, config: TrainingConfig) -> None:
    log = config.output.with_name(f"{config.output.name}.log")
    # The reason is passed on in memory: a full disk must not hide the error that reports it.
    with suppress(OSError), log.open("w", encoding="utf-8") as file:
        file.write(stderr)


def _explain(exit_status: ExitStatus, attempts: int) -> str:
    if exit_status.signal is None:
        return exit_status.reason or "the trainer ended without a result"
    times = f"{exit_status.signal} ended the trainer {attempts} times"
    # The kernel's out-of-memory killer sends SIGKILL.
    return f"out of memory: {times}" if exit_status.signal == "SIGKILL" else times

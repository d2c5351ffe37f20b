"""Runs one training in a process group of its own, and watches it."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import training
from training.config import TrainingConfig
from training.step import TrainingStep
from training.watch import WORKER_PID
from worker.ending import Ending, read_ending
from worker.errors import TrainingFailed
from worker.tail import Tail

POLL_SECONDS = 0.2
GRACE_SECONDS = 5.0
KEPT_BYTES = 64 * 1024
GPUS = ("/dev/nvidiactl", "/dev/kfd")

OnProgress = Callable[[TrainingStep], None]


class Train(Protocol):
    """Makes what a configuration describes, unless it is there; see `run_training`."""

    async def __call__(
        self,
        config: TrainingConfig,
        on_progress: OnProgress,
        *,
        accelerate_config: Path | None = None,
        niceness: int = 0,
    ) -> None:
        """Train until the result is at `config.output`. Raises `TrainingFailed`."""
        ...


async def run_training(
    config: TrainingConfig,
    on_progress: OnProgress,
    *,
    accelerate_config: Path | None = None,
    niceness: int = 0,
    attempts: int = 3,
) -> None:
    """Train by `accelerate launch`, until the result is at `config.output`; nothing if it is.

    `on_progress` gets every step once, and again only if the step was done again after a crash;
    steps that an earlier call's trainer reported are not read again. A trainer that a signal
    killed goes on from its last checkpoint, up to `attempts` starts in all. Cancelling ends the
    trainer, which a later call takes up again. `niceness` is how far the trainer steps back
    behind other processes. The end of stderr is kept in `<output>.log`.

    Raises `TrainingFailed` with the reason.
    """
    if config.finished:
        return
    config.output.parent.mkdir(parents=True, exist_ok=True)
    file = config.output.with_name(f"{config.output.name}.json")
    config.write(file)
    launch = launch_command(config, accelerate_config)
    command = ["nice", "-n", str(niceness), *launch, "-m", "training", str(file)]
    steps = Tail(config.progress)
    ending = Ending()
    for _ in range(attempts):
        ending = await _attempt(command, config, steps, on_progress, niceness)
        if ending.signal is None:
            break
    if not config.finished:
        raise TrainingFailed(_explain(ending, attempts))


def launch_command(config: TrainingConfig, accelerate_config: Path | None) -> list[str]:
    """`accelerate launch` with the given configuration, else for one process on this machine."""
    launch = [sys.executable, "-m", "accelerate.commands.launch"]
    if accelerate_config is not None:
        return [*launch, "--config_file", str(accelerate_config.absolute())]
    threads = config.threads or os.cpu_count() or 1
    flags = ["--num_processes=1", "--num_machines=1", f"--num_cpu_threads_per_process={threads}"]
    flags += ["--mixed_precision=no", "--dynamo_backend=no"]
    has_gpu = any(Path(device).exists() for device in GPUS)
    return [*launch, *flags] if has_gpu else [*launch, *flags, "--cpu"]


def step_back(pid: int, niceness: int) -> None:
    """Have a whole session step back behind others; `pid` is a process of it.

    Where Linux shares processor time between sessions first (autogroup), the niceness of a process
    counts only inside its own session, so a trainer that is `nice` took half of the server's time.
    """
    # There is no such file where the kernel does not group by session.
    with suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(niceness))


async def _attempt(
    command: list[str],
    config: TrainingConfig,
    steps: Tail,
    on_progress: OnProgress,
    niceness: int,
) -> Ending:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=DEVNULL,
        stdout=DEVNULL,
        stderr=PIPE,
        start_new_session=True,
        # There `-m training` finds this installation's own package.
        cwd=Path(training.__file__).parent.parent,
        env=os.environ | {WORKER_PID: str(os.getpid())},
    )
    step_back(process.pid, niceness)
    stderr = asyncio.create_task(_read_end(process))
    try:
        await _follow(process, steps, on_progress)
    finally:
        await _end_group(process)
        text = await stderr
        _keep(text, config)
    return read_ending(process.returncode or 0, text)


async def _follow(process: Process, steps: Tail, on_progress: OnProgress) -> None:
    ended = asyncio.create_task(process.wait())
    try:
        while not ended.done():
            await asyncio.wait({ended}, timeout=POLL_SECONDS)
            for step in steps.read():
                on_progress(step)
    finally:
        ended.cancel()


async def _end_group(process: Process) -> None:
    """End the launcher and everything it started; a second cancellation only makes it harsher."""
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
    """The last of what the process writes to stderr, however much that is."""
    kept = b""
    if process.stderr is not None:
        while part := await process.stderr.read(KEPT_BYTES):
            kept = (kept + part)[-KEPT_BYTES:]
    return kept.decode(errors="replace")


def _keep(stderr: str, config: TrainingConfig) -> None:
    log = config.output.with_name(f"{config.output.name}.log")
    # The reason travels in memory, so that a full disk cannot hide that the disk is full.
    with suppress(OSError), log.open("w", encoding="utf-8") as file:
        file.write(stderr)


def _explain(ending: Ending, attempts: int) -> str:
    if ending.signal is None:
        return ending.reason or "the trainer ended without a result"
    times = f"{ending.signal} ended the trainer {attempts} times"
    # The kernel's way to say that memory has run out.
    return f"out of memory: {times}" if ending.signal == "SIGKILL" else times

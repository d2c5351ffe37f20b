"""The trainer exits when the worker or the launcher has ended."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import training

ROOT = Path(training.__file__).parent.parent
TRAINER = """
import time
from training.watch import exit_with_worker
exit_with_worker()
print("ready", flush=True)
time.sleep(60)
"""
LAUNCHER = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


@pytest.fixture
def worker() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        yield process
        process.kill()


@pytest.fixture
def launcher(worker: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """A launcher whose trainer is ready; they share the pipe that is its standard output."""
    environment = os.environ | {"SPAR_WORKER_PID": str(worker.pid)}
    command = [sys.executable, "-c", LAUNCHER, TRAINER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        yield process
        process.kill()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("dies", ["worker", "launcher"])
def test_trainer_exits_with_worker_or_launcher(
    worker: subprocess.Popen[bytes], launcher: subprocess.Popen[bytes], dies: str
) -> None:
    (worker if dies == "worker" else launcher).kill()
    assert launcher.stdout is not None
    # The pipe ends when the last process that can write to it is gone.
    assert launcher.stdout.read() == b""

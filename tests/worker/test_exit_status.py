"""What the launcher's end says about the trainer's."""

import subprocess
import sys

import pytest

from training.config import ExitCode, failure_line
from worker.trainer import ExitStatus, read_exit_status

TORCHRUN = """
E1123 12:00:00 failed (exitcode: -9) local_rank: 0 (pid: 17) of binary: python
Root Cause (first observed failure):
  exitcode  : -9 (pid: 17)
  traceback : Signal 9 (SIGKILL) received by PID 17
"""


def test_a_trainer_that_is_done_has_no_reason() -> None:
    assert read_exit_status(0, "left out 1 of 9 samples") == ExitStatus()


def test_the_trainers_own_reason_counts_more_than_what_the_launcher_adds() -> None:
    text = failure_line(ExitCode.REFUSED, "line 3 is bad") + "\nexitcode: 1\n" + TORCHRUN
    assert read_exit_status(1, text) == ExitStatus(reason="line 3 is bad")


def test_a_signal_that_killed_the_trainer_is_read_from_the_launchers_report() -> None:
    kill = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    command = [sys.executable, "-c", kill]
    with pytest.raises(subprocess.CalledProcessError) as killed:
        subprocess.run(command, check=True)
    assert read_exit_status(1, f"Traceback\n{killed.value}\n") == ExitStatus(signal="SIGKILL")
    assert read_exit_status(1, TORCHRUN) == ExitStatus(signal="SIGKILL")


def test_a_signal_that_killed_the_launcher_counts_too() -> None:
    assert read_exit_status(-15, "") == ExitStatus(signal="SIGTERM")


def test_any_other_end_has_the_last_line_as_its_reason() -> None:
    assert read_exit_status(2, "usage: ...\n  error: no such file \n\n") == ExitStatus(
        reason="error: no such file"
    )
    assert read_exit_status(2, "") == ExitStatus(reason="exit status 2")

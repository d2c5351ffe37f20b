"""Exit codes and failure lines of a training run."""

import errno
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import training
from training.config import ExitCode, Refused, failure_line, parse_failure
from training.run import classify

ROOT = Path(training.__file__).parent.parent
FULL_DISK = """
import subprocess, sys, torch
from pathlib import Path
from safetensors.torch import save_file
from training.run import classify

large = torch.ones(1_000_000)
writers = (
    lambda file: file.write_bytes(bytes(1_000_000)),
    lambda file: torch.save({"x": large}, file),
    lambda file: save_file({"x": large}, file),
)
for number, write in enumerate(writers):
    folder = Path(sys.argv[1], str(number))
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=True)
    try:
        write(folder / "file")
    except Exception as error:
        outcome, reason = classify(error)
        print(int(outcome), reason)
"""


def test_the_last_failure_line_is_found_among_what_launchers_write() -> None:
    text = "\n".join(
        [
            "Traceback (most recent call last):",
            failure_line(ExitCode.FAILED, "first"),
            failure_line(ExitCode.OUT_OF_MEMORY, "two\nlines"),
            "subprocess.CalledProcessError: returned non-zero exit status 3.",
        ]
    )
    assert parse_failure(text) == (ExitCode.OUT_OF_MEMORY, "two lines")
    assert parse_failure("some noise") is None


def test_full_disk_is_recognised_for_every_writer(tmp_path: Path) -> None:
    mount = ["unshare", "--map-root-user", "--mount"]
    if shutil.which("unshare") is None or subprocess.run([*mount, "true"], check=False).returncode:
        pytest.skip("no disk of a few kilobytes can be mounted here")
    command = [*mount, sys.executable, "-c", FULL_DISK, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    said = done.stdout.splitlines()
    assert [line.partition(": ")[0] for line in said] == ["4 disk full"] * 3


def test_a_full_disk_is_recognised_behind_another_error() -> None:
    error = RuntimeError("the checkpoint could not be saved")
    error.__cause__ = OSError(errno.ENOSPC, "No space left on device")
    assert classify(error)[0] is ExitCode.DISK_FULL


def test_running_out_of_memory_is_recognised() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.empty(1 << 60)
    for error in (raised.value, MemoryError(), torch.OutOfMemoryError("CUDA out of memory")):
        outcome, reason = classify(error)
        assert outcome is ExitCode.OUT_OF_MEMORY
        assert reason.startswith("out of memory: ")


def test_other_errors_keep_their_message() -> None:
    assert classify(Refused("line 3 is bad")) == (ExitCode.REFUSED, "line 3 is bad")
    assert classify(KeyError("x")) == (ExitCode.FAILED, "KeyError: 'x'")

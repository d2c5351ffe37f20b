"""Real trainers, launched, killed and cancelled by the worker."""

import asyncio
import subprocess
import sys
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.training.conftest import MakeConfig, make_config, model
from training.config import ExitCode, TrainingConfig, TrainingStep, failure_line
from training.run import train
from worker.trainer import (
    ExitStatus,
    ProgressReader,
    TrainingFailed,
    launch_command,
    read_exit_status,
    renice_session,
    run_training,
)

TORCHRUN = """
E1123 12:00:00 failed (exitcode: -9) local_rank: 0 (pid: 17) of binary: python
Root Cause (first observed failure):
  exitcode  : -9 (pid: 17)
  traceback : Signal 9 (SIGKILL) received by PID 17
"""


def test_successful_exit_has_no_reason() -> None:
    assert read_exit_status(0, "left out 1 of 9 samples") == ExitStatus()


def test_trainers_reason_takes_precedence_over_the_launchers() -> None:
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


def line(number: int) -> bytes:
    step = TrainingStep(step=number, total_steps=9, loss=1.5, learning_rate=0.1, elapsed=2.0)
    return f"{step.to_line()}\n".encode()


@given(st.lists(st.integers(1, 9), max_size=6), st.data())
def test_every_step_is_read_once_however_the_file_grows(
    tmp_path_factory: pytest.TempPathFactory, numbers: list[int], data: st.DataObject
) -> None:
    content = b"".join(line(number) for number in numbers)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(content)))))
    file = tmp_path_factory.mktemp("progress_reader") / "progress"
    progress_reader, read = ProgressReader(file), list[int]()
    with file.open("ab", buffering=0) as growing:
        for first, last in zip([0, *cuts], [*cuts, len(content)], strict=True):
            growing.write(content[first:last])
            read += [step.step for step in progress_reader.read()]
    assert read == numbers


def test_earlier_lines_are_not_read(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    file.write_bytes(line(1))
    progress_reader = ProgressReader(file)
    with file.open("ab") as growing:
        growing.write(line(2))
    assert [step.step for step in progress_reader.read()] == [2]
    assert list(progress_reader.read()) == []


def test_incomplete_line_of_a_killed_trainer_is_skipped(tmp_path: Path) -> None:
    file = tmp_path / "progress"
    progress_reader = ProgressReader(file)
    file.write_bytes(line(1)[:20])
    assert list(progress_reader.read()) == []
    with file.open("ab") as growing:
        growing.write(b"\n" + line(1))
    assert [step.step for step in progress_reader.read()] == [1]


__all__ = ["make_config", "model"]

MEBIBYTE = 2**20


def trainers(config: TrainingConfig) -> list[psutil.Process]:
    """All processes of this run, launchers first."""
    name = f"{config.output.name}.json"
    found = []
    for process in psutil.process_iter():
        try:
            if process.cmdline()[-1:] == [str(config.output.with_name(name))]:
                found.append(process)
        except (psutil.NoSuchProcess, psutil.ZombieProcess):
            continue
    return sorted(found, key=lambda process: process.create_time())


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_a_training_survives_being_cancelled_and_killed(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(max_steps=30)
    cancelled: list[TrainingStep] = []
    begun = asyncio.Event()

    def begin(step: TrainingStep) -> None:
        cancelled.append(step)
        if step.step >= 4:
            begun.set()

    task = asyncio.create_task(run_training(config, begin))
    await begun.wait()
    running = trainers(config)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert len(running) == 2
    assert trainers(config) == []
    assert not config.output.exists()

    resumed: list[TrainingStep] = []
    killed: list[int] = []

    def kill_once(step: TrainingStep) -> None:
        resumed.append(step)
        if step.step >= cancelled[-1].step + 6 and not killed:
            killed.append(step.step)
            trainers(config)[-1].kill()

    await run_training(config, kill_once)
    numbers = [step.step for step in resumed]
    assert 1 < numbers[0] <= cancelled[-1].step + 2
    assert numbers[-1] == 30
    assert all(later <= step + 1 for step, later in pairwise(numbers))
    assert killed
    assert config.output.is_dir()

    whole = make_config(max_steps=30, output=tmp_path / "b", progress=tmp_path / "b.jsonl")
    train(whole)
    weights = "adapter_model.safetensors"
    assert (config.output / weights).read_bytes() == (whole.output / weights).read_bytes()

    await run_training(config, resumed.append)
    assert len(resumed) == len(numbers)


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_a_refused_training_fails_once_and_with_the_reason(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    config = make_config(rows=[{"prompt": []}])
    with pytest.raises(TrainingFailed) as failed:
        await run_training(config, lambda _: None)
    expected = f"{config.data}, line 1: prompt: Tuple should have at least 1 item"
    assert failed.value.message.startswith(expected)
    log = (tmp_path / "result.log").read_text(encoding="utf-8")
    assert log.count("training failed (2): ") == 1


async def test_repeated_sigkill_is_reported_as_out_of_memory(
    make_config: MakeConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The launcher kills itself as it starts: the same end, without the wait.
    (tmp_path / "sitecustomize.py").write_text(KILL_ITSELF, encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(TrainingFailed) as failed:
        await run_training(make_config(), lambda _: None, attempts=2)
    assert failed.value.message == "out of memory: SIGKILL ended the trainer 2 times"
    assert (tmp_path / "starts").read_text(encoding="utf-8") == "xx"


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_allocation_failure_is_reported_as_out_of_memory(
    make_config: MakeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A fixed threshold: else glibc serves a small model's tensors from memory freed before.
    monkeypatch.setenv("MALLOC_MMAP_THRESHOLD_", "65536")
    config = make_config(max_steps=1000, save_steps=1000)

    def take_memory(_: TrainingStep) -> None:
        for trainer in trainers(config)[-1:]:
            with suppress(psutil.NoSuchProcess):
                # What it had at its peak it does not get again; what it frees, it may use.
                limit = trainer.memory_info().vms - MEBIBYTE
                trainer.rlimit(psutil.RLIMIT_AS, (limit, limit))

    with pytest.raises(TrainingFailed, match=r"^out of memory: "):
        await run_training(config, take_memory)
    assert not config.output.exists()


def test_a_given_accelerate_configuration_is_used_alone(
    make_config: MakeConfig, tmp_path: Path
) -> None:
    command = launch_command(make_config(), tmp_path / "fsdp.yaml")
    assert command[-2:] == ["--config_file", str(tmp_path / "fsdp.yaml")]
    assert "--num_processes=1" not in command
    assert "--num_processes=1" in launch_command(make_config(), None)


KILL_ITSELF = """
import os, signal
with open(os.path.join(os.path.dirname(__file__), "starts"), "a") as starts:
    starts.write("x")
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_niceness_applies_to_the_session_autogroup() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        renice_session(other.pid, 7)
        group = Path(f"/proc/{other.pid}/autogroup")
        said = group.read_text().strip() if group.exists() else ""
        other.kill()
    assert said.endswith("nice 7") or not groups_by_session()


def groups_by_session() -> bool:
    switch = Path("/proc/sys/kernel/sched_autogroup_enabled")
    return switch.exists() and switch.read_text().strip() == "1"

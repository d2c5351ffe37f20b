"""Real trainers, launched, killed and cancelled by the worker."""

import asyncio
import subprocess
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import psutil
import pytest

from tests.training.conftest import MakeConfig, make_config, model
from training.config import TrainingConfig, TrainingStep
from training.run import train
from worker.trainer import TrainingFailed, launch_command, run_training, step_back

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


async def test_a_trainer_that_is_killed_again_and_again_ran_out_of_memory(
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
async def test_a_trainer_that_gets_no_more_memory_says_so(make_config: MakeConfig) -> None:
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


def test_a_whole_session_steps_back_where_the_kernel_groups_by_session() -> None:
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        step_back(other.pid, 7)
        group = Path(f"/proc/{other.pid}/autogroup")
        said = group.read_text().strip() if group.exists() else ""
        other.kill()
    assert said.endswith("nice 7") or not groups_by_session()


def groups_by_session() -> bool:
    switch = Path("/proc/sys/kernel/sched_autogroup_enabled")
    return switch.exists() and switch.read_text().strip() == "1"

"""A training of two processes, launched by the worker's own command."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.training.conftest import MakeConfig
from training.config import TrainingStep
from training.run import train
from worker.trainer import run_training

TWO = Path(__file__).parents[2] / "deploy" / "accelerate" / "two-cpus.yaml"


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_two_processes_train_one_adapter(make_config: MakeConfig, tmp_path: Path) -> None:
    config = make_config(max_steps=3)
    steps: list[TrainingStep] = []
    await run_training(config, steps.append, accelerate_config=TWO)
    assert [step.step for step in steps] == [1, 2, 3], "one of them reports"
    assert {file.name for file in config.output.iterdir()} == {
        "adapter_config.json",
        "adapter_model.safetensors",
    }
    assert not config.work.exists()
    alone = make_config(max_steps=3, output=tmp_path / "one", progress=tmp_path / "one.jsonl")
    train(alone)
    pair, one = (load_file(made.output / "adapter_model.safetensors") for made in (config, alone))
    assert pair.keys() == one.keys()
    assert all(torch.isfinite(tensor).all() for tensor in pair.values())
    # A step is of two samples either way: one in each process, averaged, or two in the only one.
    expected = TrainingStep.from_line((tmp_path / "one.jsonl").read_text().splitlines()[0])
    assert expected is not None
    assert steps[0].loss == pytest.approx(expected.loss, rel=1e-2)

"""Configurations: what they default to, what they refuse, and their file."""

import json
from pathlib import Path
from typing import Any

import pytest

from training.config import Refused, Schedule, TrainingConfig

REQUIRED = {
    "role": "actor",
    "method": "dpo",
    "model": "/models/base",
    "data": "d.jsonl",
    "output": "/out/actor",
    "progress": "p",
    "learning_rate": 0.5,
}


def make(**changes: Any) -> TrainingConfig:
    return TrainingConfig.model_validate(REQUIRED | changes)


def test_schedules_and_losses_are_spars_by_default() -> None:
    actor, refiner = make(method="dpo"), make(method="sft")
    assert (actor.schedule, refiner.schedule) == (Schedule.LINEAR, Schedule.CONSTANT_WITH_WARMUP)
    assert (actor.beta, actor.sft_weight, actor.warmup_ratio, actor.epochs) == (0.1, 0.1, 0.1, 1.0)


def test_a_given_schedule_is_kept() -> None:
    assert make(schedule="constant").schedule is Schedule.CONSTANT


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    config = make(adapter="/adapters/1", max_steps=3)
    config.write(tmp_path / "config.json")
    assert TrainingConfig.read(tmp_path / "config.json") == config


def test_paths_become_absolute_because_the_trainer_runs_elsewhere() -> None:
    assert make().data == Path.cwd() / "d.jsonl"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"method": "ppo"}, "method: Input should be 'dpo' or 'sft'"),
        ({"kind": "full", "adapter": "/a"}, "only a LoRA training can continue an adapter"),
        ({"lora_targets": ["lm_head"]}, "lora_targets: the output layer"),
        ({"lora_targets": []}, "lora_targets: Tuple should have at least 1 item"),
        ({"learning_rate": 0}, "learning_rate: Input should be greater than 0"),
        ({"warmup_ratio": 1}, "warmup_ratio: Input should be less than 1"),
        ({"leraning_rate": 1}, "leraning_rate: Extra inputs are not permitted"),
    ],
)
def test_a_bad_value_is_refused_by_name(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    file = tmp_path / "config.json"
    file.write_text(json.dumps(REQUIRED | changes), encoding="utf-8")
    with pytest.raises(Refused) as refused:
        TrainingConfig.read(file)
    assert problem in str(refused.value)
    assert "default factory" not in str(refused.value)


def test_a_missing_or_broken_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(Refused, match=r"config\.json cannot be read: No such file"):
        TrainingConfig.read(tmp_path / "config.json")
    (tmp_path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(Refused, match=r"config\.json: Invalid JSON"):
        TrainingConfig.read(tmp_path / "config.json")

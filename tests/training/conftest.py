"""A model so small that real trainings take seconds, and easy things for it to learn."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from app.domain.checkpoint import Role
from tests.helpers.tiny_model import make_tiny_model
from training.config import Method, TrainingConfig

MakeConfig = Callable[..., TrainingConfig]

PAIRS = [
    {
        "prompt": [{"role": "user", "content": f"Is {number} a number?"}],
        "chosen": [{"role": "assistant", "content": "Yes, it is one."}],
        "rejected": [{"role": "assistant", "content": "No, never at all."}],
    }
    for number in range(8)
]
DIALOGUES = [
    {
        "messages": [
            {"role": "user", "content": f"Is {number} a number?"},
            {"role": "assistant", "content": "Yes, it is one."},
            {"role": "user", "content": "Say it again."},
            {"role": "assistant", "content": "Yes, it is one."},
        ]
    }
    for number in range(8)
]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of two layers with the embedded model's chat template."""
    return make_tiny_model(tmp_path_factory.mktemp("model"))


def make_config_in(folder: Path, model: Path, **changes: Any) -> TrainingConfig:
    """The configuration of a short LoRA training; its files go to the folder."""
    method = Method(changes.get("method", Method.DPO))
    rows = changes.pop("rows", PAIRS if method is Method.DPO else DIALOGUES)
    data = folder / "data.jsonl"
    data.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
    values: dict[str, Any] = {
        "role": Role.ACTOR,
        "method": method,
        "model": str(model),
        "data": data,
        "output": folder / "result",
        "progress": folder / "progress.jsonl",
        "lora_rank": 8,
        "lora_alpha": 16,
        "lora_targets": ("q_proj", "v_proj", "down_proj"),
        "learning_rate": 0.01,
        "max_steps": 6,
        "save_steps": 2,
        "batch_size": 2,
        "threads": 1,
    }
    return TrainingConfig(**values | changes)


@pytest.fixture
def make_config(model: Path, tmp_path: Path) -> MakeConfig:
    """Makes configurations of a short LoRA training; its files go to the test's folder."""
    return partial(make_config_in, tmp_path, model)

"""A model so small that real trainings take seconds, and easy things for it to learn."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, set_seed

from app.domain.checkpoint import Role
from app.models import prepare_default_model
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
    """A random Llama of two layers with the embedded model's tokenizer and chat template."""
    folder = tmp_path_factory.mktemp("model")
    tokenizer = AutoTokenizer.from_pretrained(prepare_default_model())
    tokenizer.save_pretrained(folder)
    set_seed(0)
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = AutoModelForCausalLM.from_config(shape, dtype=torch.bfloat16)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    return folder


@pytest.fixture
def make_config(model: Path, tmp_path: Path) -> MakeConfig:
    """Makes configurations of a short LoRA training; its files go to the test's folder."""

    def make(**changes: Any) -> TrainingConfig:
        method = Method(changes.get("method", Method.DPO))
        rows = changes.pop("rows", PAIRS if method is Method.DPO else DIALOGUES)
        data = tmp_path / "data.jsonl"
        data.write_text("".join(f"{json.dumps(row)}\n" for row in rows), encoding="utf-8")
        values: dict[str, Any] = {
            "role": Role.ACTOR,
            "method": method,
            "model": str(model),
            "data": data,
            "output": tmp_path / "result",
            "progress": tmp_path / "progress.jsonl",
            "lora_rank": 8,
            "lora_alpha": 16,
            "lora_targets": ("q_proj", "v_proj", "down_proj"),
            "learning_rate": 0.01,
            "max_steps": 6,
            "save_steps": 2,
            "batch_size": 2,
            "gradient_accumulation": 1,
            "threads": 1,
        }
        return TrainingConfig(**values | changes)

    return make

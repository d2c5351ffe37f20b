"""Random adapters for the small real model, in PEFT's format."""

import json
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

HIDDEN, INTERMEDIATE, LAYERS = 576, 1536, 30
MODULES = {"o_proj": ("self_attn", HIDDEN), "down_proj": ("mlp", INTERMEDIATE)}


def random_adapter(folder: Path, *, seed: int, rank: int = 8, size: float = 0.1) -> Path:
    """A random adapter that changes the model's output; deterministic for a seed."""
    generator = np.random.default_rng(seed)
    tensors = {}
    for layer in range(LAYERS):
        for name, (block, inputs) in MODULES.items():
            key = f"base_model.model.model.layers.{layer}.{block}.{name}"
            for part, shape in (("A", (rank, inputs)), ("B", (HIDDEN, rank))):
                values = generator.normal(0, size, shape).astype(np.float32)
                tensors[f"{key}.lora_{part}.weight"] = values
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": "smollm2-135m-instruct",
        "r": rank,
        "lora_alpha": rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(MODULES),
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    return folder

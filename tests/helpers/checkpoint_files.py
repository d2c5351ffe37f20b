"""Base models and adapters in their real file formats, a few hundred bytes each."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from app.checkpoints.manifest import fingerprint, seal
from app.domain.checkpoint import CheckpointKind, Role

HIDDEN, WIDE, RANK = 4, 6, 2
LAYER = "model.layers.0.mlp.down_proj"
WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
Tensors = Mapping[str, np.ndarray[Any, Any]]


def make_base(folder: Path, *, scale: float = 1.0) -> Path:
    """A model folder with one adaptable layer; different `scale`, different weights."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": HIDDEN}))
    weight = np.arange(HIDDEN * WIDE, dtype=np.float32).reshape(HIDDEN, WIDE) * scale
    save_file({f"{LAYER}.weight": weight}, folder / "model.safetensors")
    return folder


def tensors(
    *, rank: int = RANK, inputs: int = WIDE, outputs: int = HIDDEN, layer: str = LAYER
) -> dict[str, np.ndarray[Any, Any]]:
    """An adapter's two matrices for one layer."""
    return {
        f"base_model.model.{layer}.lora_A.weight": np.ones((rank, inputs), np.float32),
        f"base_model.model.{layer}.lora_B.weight": np.ones((outputs, rank), np.float32),
    }


def make_adapter(folder: Path, weights: Tensors | None = None, **options: Any) -> Path:
    """An unsealed adapter folder; `options` replace those of its configuration."""
    folder.mkdir(parents=True)
    save_file(dict(tensors() if weights is None else weights), folder / WEIGHTS)
    config = {
        "peft_type": "LORA",
        "r": RANK,
        "lora_alpha": 2 * RANK,
        "target_modules": ["down_proj"],
        "bias": "none",
        "modules_to_save": None,
        "use_dora": False,
        "use_rslora": False,
    }
    (folder / CONFIG).write_text(json.dumps(config | options))
    return folder


def make_checkpoint(folder: Path, base: Path, role: Role = Role.ACTOR, version: int = 1) -> str:
    """A sealed adapter for the base model; the hash of its manifest."""
    make_adapter(folder)
    return seal(folder, role, version, CheckpointKind.LORA, fingerprint(base))


def make_full(
    folder: Path, base: Path, role: Role = Role.ACTOR, version: int = 1, *, scale: float = 2.0
) -> str:
    """Sealed full weights in place of the base model's; the hash of their manifest."""
    make_base(folder, scale=scale)
    return seal(folder, role, version, CheckpointKind.FULL, fingerprint(base))

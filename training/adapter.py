"""Checks an adapter before a training goes on from it."""

import json
from pathlib import Path
from typing import Any

from training.config import TrainingConfig
from training.outcome import Refused

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
UNSUPPORTED = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save")


def check_adapter(folder: Path, config: TrainingConfig) -> None:
    """Raise `Refused` unless `folder` holds a LoRA adapter of the configured rank and layers."""
    found = _read(folder / CONFIG)
    if not (folder / WEIGHTS).is_file():
        raise Refused(f"{folder} holds no {WEIGHTS}")
    if found.get("peft_type") != "LORA":
        raise Refused(f"{folder} is not a LoRA adapter but {found.get('peft_type')}")
    _compare(folder, "rank", found.get("r"), config.lora_rank)
    _compare(folder, "alpha", found.get("lora_alpha"), config.lora_alpha)
    targets = found.get("target_modules")
    there = sorted(targets) if isinstance(targets, list) else targets
    _compare(folder, "layers", there, sorted(config.lora_targets))
    for name in UNSUPPORTED:
        if found.get(name):
            raise Refused(f"{folder} uses {name}, which is not supported")


def _compare(folder: Path, what: str, found: object, configured: object) -> None:
    if found != configured:
        raise Refused(
            f"{folder} has {what} {found}, configured is {configured}: "
            "a training goes on with what the adapter has"
        )


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise Refused(f"{file} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise Refused(f"{file} is not a JSON object")
    return content

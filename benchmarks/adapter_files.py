"""Random adapters of any shape for a model: the cost of one does not depend on its numbers."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file

from app.checkpoints.formats import CONFIG, WEIGHTS, read_model_tensors
from app.config.settings import RANKS
from app.errors import ConfigurationError

_SIZE = 0.01
"""Standard deviation of the numbers."""
_CHOICE = re.compile(r"(?P<targets>\w+(?:,\w+)*):(?P<rank>[1-9]\d{0,2})")


@dataclass(frozen=True, slots=True)
class Choice:
    """The linear layers that get an adapter, by the last part of their names, and its rank."""

    targets: tuple[str, ...]
    rank: int

    @classmethod
    def parse(cls, text: str) -> "Choice":
        """What `str` gives, such as `o_proj,down_proj:16`. Raises `ConfigurationError`."""
        found = _CHOICE.fullmatch(text)
        if found is None or int(found["rank"]) > RANKS[-1]:
            raise ConfigurationError(
                f"{text!r} is not like o_proj,down_proj:16, with a rank of at most {RANKS[-1]}"
            )
        return cls(tuple(found["targets"].split(",")), int(found["rank"]))

    @property
    def engine_rank(self) -> int:
        """The room an engine sets aside for it: the smallest rank vLLM knows that is enough."""
        return next(rank for rank in RANKS if rank >= self.rank)

    def __str__(self) -> str:
        return f"{','.join(self.targets)}:{self.rank}"


def write_adapter(folder: Path, model: Path, choice: Choice) -> Path:
    """Write a random adapter in PEFT's format, for every layer of the model that is chosen.

    Raises `ConfigurationError` when the model is no folder, or lacks one of the chosen layers.
    """
    tensors = {}
    generator = np.random.default_rng(0)
    for layer, (outputs, inputs) in _chosen_layers(model, choice).items():
        for part, shape in (("A", (choice.rank, inputs)), ("B", (outputs, choice.rank))):
            values = generator.normal(0, _SIZE, shape).astype(np.float32)
            tensors[f"base_model.model.{layer}.lora_{part}.weight"] = values
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": model.name,
        "r": choice.rank,
        "lora_alpha": choice.rank,
        "lora_dropout": 0.0,
        "bias": "none",
        "target_modules": sorted(choice.targets),
    }
    folder.mkdir(parents=True)
    save_file(tensors, folder / WEIGHTS)
    (folder / CONFIG).write_text(json.dumps(config), encoding="utf-8")
    return folder


def _chosen_layers(model: Path, choice: Choice) -> Mapping[str, tuple[int, ...]]:
    """The shape of every chosen layer's weight, by the layer's name."""
    if not model.is_dir():
        raise ConfigurationError(f"{model} is not a folder: its layers' shapes are not known")
    shapes = {
        name.removesuffix(".weight"): tensor.shape
        for name, tensor in read_model_tensors(model).items()
        if name.endswith(".weight") and len(tensor.shape) == 2
    }
    chosen = {
        layer: shape
        for layer, shape in shapes.items()
        if layer.rpartition(".")[2] in choice.targets
    }
    missing = set(choice.targets) - {layer.rpartition(".")[2] for layer in chosen}
    if missing:
        raise ConfigurationError(f"{model} has no layers {', '.join(sorted(missing))}")
    return chosen

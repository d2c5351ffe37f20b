"""The file formats of adapters and full weights, and whether they fit the base model."""

import json
import re
import sys
from collections.abc import Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from app.errors import CheckpointRefused


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object in a file.

    Raises:
        CheckpointRefused: the file is missing or is not a JSON object.
        OSError: the file cannot be read.
    """
    try:
        value = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise CheckpointRefused(f"{file.name} is missing") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointRefused(f"{file.name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointRefused(f"{file.name} is not a JSON object")
    return value


@dataclass(frozen=True, slots=True)
class Tensor:
    """Type (safetensors' own name, such as `BF16`) and shape of one tensor."""

    dtype: str
    shape: tuple[int, ...]


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Every tensor of a file by its name.

    Raises:
        CheckpointRefused: the file is damaged.
    """
    try:
        with safe_open(file, framework="numpy") as weights:
            slices = {name: weights.get_slice(name) for name in weights.keys()}  # noqa: SIM118
            return {
                name: Tensor(part.get_dtype(), tuple(part.get_shape()))
                for name, part in slices.items()
            }
    except (OSError, SafetensorError) as error:
        raise CheckpointRefused(f"{file.name} is not a readable safetensors file: {error}") from (
            error
        )


def read_model_tensors(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a model folder, whose weights may be split over several files."""
    tensors: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors |= read_tensors(file)
    return tensors


CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
TENSOR = re.compile(r"base_model\.model\.(?P<layer>.+)\.lora_(?P<half>[AB])\.weight")
NUMBER_TYPES = frozenset({"F16", "BF16", "F32"})
UNSUPPORTED = (
    "alora_invocation_tokens",
    "alpha_pattern",
    "fan_in_fan_out",
    "layer_replication",
    "lora_bias",
    "modules_to_save",
    "rank_pattern",
    "trainable_token_indices",
    "use_dora",
    "use_qalora",
)
"""PEFT options that the engine refuses or ignores; none of them may be set."""


def check_adapter(
    folder: Path, *, base_model: str, max_rank: int, targets: Set[str] | None
) -> None:
    """Raise `CheckpointRefused` with the reason unless the adapter can be served.

    Shapes are compared only if the base model is a folder.
    """
    config = read_object(folder / CONFIG)
    layers, rank = _targets(config, targets), _rank(config, max_rank)
    _check_options(config)
    if not (folder / WEIGHTS).is_file():
        raise CheckpointRefused(f"{WEIGHTS} is missing")
    pairs = _pairs(read_tensors(folder / WEIGHTS))
    base = read_model_tensors(Path(base_model)) if Path(base_model).is_dir() else None
    for layer, (a, b) in pairs.items():
        if layer.rpartition(".")[2] not in layers:
            raise CheckpointRefused(f"it changes {layer}, which {CONFIG} does not name")
        _check_pair(layer, a, b, rank)
        if base is not None:
            _compare(layer, a, b, base)


def _rank(config: Mapping[str, Any], max_rank: int) -> int:
    rank = config.get("r")
    if not isinstance(rank, int) or isinstance(rank, bool) or rank < 1:
        raise CheckpointRefused(f"its rank is {rank!r}; it must be a number from 1 to {max_rank}")
    if rank > max_rank:
        raise CheckpointRefused(
            f"its rank is {rank}; the engine takes at most {max_rank} (SPAR_ADAPTER_RANK)"
        )
    return rank


def _targets(config: Mapping[str, Any], allowed: Set[str] | None) -> set[str]:
    named = config.get("target_modules")
    if not isinstance(named, list) or not named or not all(isinstance(n, str) for n in named):
        raise CheckpointRefused("its target_modules are not a list of layers' names")
    beyond = [] if allowed is None else sorted(set(named) - allowed)
    if allowed is not None and beyond:
        raise CheckpointRefused(
            f"it changes the layers {', '.join(beyond)}; the engine lets adapters change only"
            f" {', '.join(sorted(allowed))} (SPAR_ADAPTER_TARGETS)"
        )
    return set(named)


def _check_options(config: Mapping[str, Any]) -> None:
    kind = config.get("peft_type")
    if kind != "LORA":
        raise CheckpointRefused(f"it is not a LoRA adapter but {kind!r}")
    alpha = config.get("lora_alpha")
    if not isinstance(alpha, int | float) or not 0 < alpha <= sys.float_info.max:
        raise CheckpointRefused(f"its lora_alpha is {alpha!r}; it must be a number above 0")
    if config.get("bias", "none") != "none":
        raise CheckpointRefused(f"it has biases (bias {config['bias']!r}), which cannot be served")
    for name in UNSUPPORTED:
        if config.get(name):
            raise CheckpointRefused(f"it uses {name}, which cannot be served")


def _pairs(tensors: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
    """The two matrices of each adapted layer.

    Raises:
        CheckpointRefused: there is any other tensor.
    """
    halves: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        found = TENSOR.fullmatch(name)
        if found is None:
            raise CheckpointRefused(f"{WEIGHTS} holds {name!r}, which is not part of an adapter")
        if tensor.dtype not in NUMBER_TYPES:
            raise CheckpointRefused(f"{name} has the unsupported dtype {tensor.dtype}")
        halves.setdefault(found["layer"], {})[found["half"]] = tensor
    if not halves:
        raise CheckpointRefused(f"{WEIGHTS} is empty")
    for layer, found_halves in halves.items():
        if len(found_halves) != 2:
            raise CheckpointRefused(f"{layer} has only one of its two matrices")
    return {layer: (found["A"], found["B"]) for layer, found in halves.items()}


def _check_pair(layer: str, a: Tensor, b: Tensor, rank: int) -> None:
    if len(a.shape) != 2 or len(b.shape) != 2 or a.shape[0] != rank or b.shape[1] != rank:
        raise CheckpointRefused(
            f"the matrices of {layer} have shapes {a.shape} and {b.shape}, which are not of"
            f" rank {rank}"
        )


def _compare(layer: str, a: Tensor, b: Tensor, base: Mapping[str, Tensor]) -> None:
    weight = base.get(f"{layer}.weight")
    if weight is None:
        raise CheckpointRefused(f"the base model has no layer {layer}")
    if weight.shape != (b.shape[0], a.shape[1]):
        raise CheckpointRefused(
            f"{layer} is {weight.shape} in the base model; the adapter is for"
            f" {(b.shape[0], a.shape[1])}"
        )


MODEL_CONFIG = "config.json"
ARCHITECTURE = ("architectures", "model_type")
"""The fields of config.json that must be equal; the engine uses the base model's for the rest."""


def check_model(folder: Path, *, base_model: str) -> None:
    """Raise `CheckpointRefused` with the reason unless the weights can replace the base model's.

    The tensors must have the names, types and shapes of the base model's. They are compared only
    if the base model is a folder.
    """
    config = read_object(folder / MODEL_CONFIG)
    tensors = read_model_tensors(folder)
    if not tensors:
        raise CheckpointRefused("it has no weights (*.safetensors)")
    base = Path(base_model)
    if not base.is_dir():
        return
    wanted = read_object(base / MODEL_CONFIG)
    for name in ARCHITECTURE:
        if config.get(name) != wanted.get(name):
            raise CheckpointRefused(
                f"its {name} in {MODEL_CONFIG} is {config.get(name)!r}; the base model's is"
                f" {wanted.get(name)!r}"
            )
    expected = read_model_tensors(base)
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors:
            raise CheckpointRefused(f"it has no {name}, which the base model has")
        if name not in expected:
            raise CheckpointRefused(f"it has {name}, which the base model does not have")
        if tensors[name] != expected[name]:
            raise CheckpointRefused(
                f"{name} is {tensors[name].dtype} {tensors[name].shape}; in the base model it is"
                f" {expected[name].dtype} {expected[name].shape}"
            )

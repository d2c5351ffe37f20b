"""Whether full weights fit the model that the engine was started with."""

from pathlib import Path

from app.checkpoints.json_file import read_object
from app.checkpoints.weights import read_model_tensors
from app.errors import CheckpointRefused

CONFIG = "config.json"
ARCHITECTURE = ("architectures", "model_type")
"""What of a configuration must be the same. The engine keeps the base model's for the rest."""


def check_model(folder: Path, *, base_model: str) -> None:
    """Raise `CheckpointRefused` with the reason unless the weights can take the base's place.

    Every tensor must be one of the base model's, of the same type and shape, and none may be
    missing. A base model that is not a folder is not known here, and not compared.
    """
    config = read_object(folder / CONFIG)
    tensors = read_model_tensors(folder)
    if not tensors:
        raise CheckpointRefused("it has no weights (*.safetensors)")
    base = Path(base_model)
    if not base.is_dir():
        return
    wanted = read_object(base / CONFIG)
    for name in ARCHITECTURE:
        if config.get(name) != wanted.get(name):
            raise CheckpointRefused(
                f"its {name} in {CONFIG} is {config.get(name)!r}; the base model's is"
                f" {wanted.get(name)!r}"
            )
    expected = read_model_tensors(base)
    for name in sorted(expected.keys() | tensors.keys()):
        if name not in tensors:
            raise CheckpointRefused(f"it has no {name}, which the base model has")
        if name not in expected:
            raise CheckpointRefused(f"it has {name}, which the base model has not")
        if tensors[name] != expected[name]:
            raise CheckpointRefused(
                f"{name} is {tensors[name].dtype} {tensors[name].shape}; in the base model it is"
                f" {expected[name].dtype} {expected[name].shape}"
            )

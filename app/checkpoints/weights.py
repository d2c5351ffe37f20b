"""What a safetensors file says it holds, read without loading any of it."""

from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError, safe_open

from app.errors import CheckpointRefused


@dataclass(frozen=True, slots=True)
class Tensor:
    """Type (safetensors' own name, such as `BF16`) and shape of one tensor."""

    dtype: str
    shape: tuple[int, ...]


def read_tensors(file: Path) -> dict[str, Tensor]:
    """Every tensor of a file by its name. Raises `CheckpointRefused` for a file that is damaged."""
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

"""The JSON files of a checkpoint folder."""

import json
from pathlib import Path
from typing import Any

from app.errors import CheckpointRefused


def read_object(file: Path) -> dict[str, Any]:
    """The JSON object that a file holds. Raises `CheckpointRefused` and `OSError`."""
    try:
        value = json.loads(file.read_bytes())
    except FileNotFoundError:
        raise CheckpointRefused(f"{file.name} is missing") from None
    except (ValueError, RecursionError) as error:
        raise CheckpointRefused(f"{file.name} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise CheckpointRefused(f"{file.name} is not a JSON object")
    return value

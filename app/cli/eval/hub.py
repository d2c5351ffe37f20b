"""Rows of a benchmark from a model hub, written to a JSONL file."""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import httpx2

from app.errors import ConfigurationError


def fetch_rows(name: str, folder: Path, *, config: str | None = None, split: str | None) -> Path:
    """Write the rows of a data set to a JSONL file in `folder`, and return the file.

    Args:
        name: Name of the data set on the hub, or a folder.
        split: May be None where there is only one.

    Raises:
        ConfigurationError: The hub, the data set or the split is not available.
    """
    rows = _load(name, config, split)
    parts = (part for part in (name, config, split) if part)
    file = folder / (re.sub(r"[^\w.-]+", "_", "-".join(parts)) + ".jsonl")
    part = file.with_name(file.name + ".part")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as lines:
            for row in rows:
                lines.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")
        part.replace(file)
    except OSError as error:
        raise ConfigurationError(f"cannot write {file}: {error.strerror}") from error
    return file


def _load(name: str, config: str | None, split: str | None) -> Iterable[Mapping[str, Any]]:
    import datasets
    from datasets.exceptions import DatasetsError

    datasets.disable_progress_bars()
    try:
        found = datasets.load_dataset(name, config)
    # Errors of the hub are OSErrors, of names ValueErrors, of a proxy httpx2's; a data set with a
    # loading script is a RuntimeError.
    except (DatasetsError, OSError, ValueError, RuntimeError, httpx2.HTTPError) as error:
        raise ConfigurationError(
            f"the data set {name} is not available: {_first_line(error)}; without access to the"
            " hub, download the file and pass it with --data"
        ) from error
    splits = list(found)
    if split is None and len(splits) == 1:
        split = splits[0]
    if split not in splits:
        raise ConfigurationError(
            f"{name} has the splits {', '.join(splits)}: choose one with --split", field="split"
        )
    rows: Iterable[Mapping[str, Any]] = found[split]
    return rows


def _first_line(error: Exception) -> str:
    """The first line of an error's message; of a generic wrapper's cause."""
    from datasets.exceptions import DatasetGenerationError

    said = error.__cause__ or error if isinstance(error, DatasetGenerationError) else error
    return str(said).strip().partition("\n")[0] or type(said).__name__

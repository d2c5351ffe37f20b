"""Labelled pairs: two responses to an instruction, and which one people find better.

The format is LLMBar's (arXiv 2310.07641): JSON lines with `instruction`, `output_1`, `output_2`
and `label`, 1 or 2.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from app.errors import ConfigurationError


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore")

    instruction: str
    output_1: str
    output_2: str
    label: Literal[1, 2]


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """An instruction with a better and a worse response to it."""

    instruction: str
    better: str
    worse: str


def read_pairs(file: Path, limit: int) -> list[LabelledPair]:
    """The first `limit` pairs of a file. Raises `ConfigurationError` naming what is wrong."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the labelled pairs in {file} cannot be read: {error}") from error
    return [_read(file, number, line) for number, line in enumerate(lines[:limit], start=1)]


def _read(file: Path, number: int, line: str) -> LabelledPair:
    try:
        row = _Row.model_validate_json(line)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise ConfigurationError(
            f"{file}, line {number}: {place + ': ' if place else ''}{problem['msg']}"
        ) from error
    outputs = (row.output_1, row.output_2)
    return LabelledPair(row.instruction, outputs[row.label - 1], outputs[2 - row.label])


def score(better: float, worse: float) -> float:
    """1 when the better response has the higher value, half for equal values, else 0."""
    return 0.5 if better == worse else float(better > worse)

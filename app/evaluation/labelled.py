"""Labelled pairs: two responses to an instruction, and which one people find better.

The format is LLMBar's (arXiv 2310.07641): rows with `instruction` (its own files say `input`),
`output_1`, `output_2` and `label`, 1 or 2.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from app.evaluation.rows import read_rows


class LabelledRow(BaseModel):
    """One row as it is written; `id` and `subset` may be left out."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    instruction: str = Field(validation_alias=AliasChoices("instruction", "input"))
    output_1: str
    output_2: str
    label: Literal[1, 2]
    id: str | int | None = None
    subset: str | None = None


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """An instruction with a better and a worse response to it."""

    instruction: str
    better: str
    worse: str


def read_pairs(file: Path, limit: int) -> list[LabelledPair]:
    """The first `limit` pairs of a file. Raises `ConfigurationError` naming what is wrong."""
    return [_pair(row) for _, row in read_rows(file, LabelledRow, limit)]


def _pair(row: LabelledRow) -> LabelledPair:
    outputs = (row.output_1, row.output_2)
    return LabelledPair(row.instruction, outputs[row.label - 1], outputs[2 - row.label])


def score(better: float, worse: float) -> float:
    """1 when the better response has the higher value, half for equal values, else 0."""
    return 0.5 if better == worse else float(better > worse)

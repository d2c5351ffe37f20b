"""What an evaluation run is, whatever it measures: its plan, and what became of each row."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from app.domain.checkpoint import Versions
from app.domain.search import Mode


@dataclass(frozen=True, slots=True)
class EvaluationPlan:
    """Everything that the outcome of a run depends on.

    suite: the benchmark's name. digest: SHA-256 of the file with its rows. source: what that file
        is called, for people; it changes nothing.
    mode: how answers are looked for; None where given responses are compared.
    options: what is asked of the server with every row: `search`, `budget` and `sampling`.
    versions, model: the checkpoints asked for, and the base model they belong to.
    seed: every row's own seed comes from it. limit: only the first so many rows; None is all.
    with_constraints: the rows' checkable constraints are sent along, so that the search sees the
        very checks that score its answer.
    """

    suite: str
    source: str
    digest: str
    mode: Mode | None
    options: Mapping[str, Any]
    versions: Versions
    model: str
    seed: int
    limit: int | None = None
    with_constraints: bool = False

    @property
    def identity(self) -> str:
        """The same for two plans exactly when they ask the same: 64 hexadecimal digits."""
        values = asdict(self)
        del values["source"]
        return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class EvaluatedRow:
    """What became of one row.

    position: its place among the rows, from 0. group: the subset it belongs to.
    outcome: what the server gave; None where it could not answer, and then `error` says why.
    score: by metric the sum over the row's units and their number; of a failed row what the
        worst outcome is worth.
    """

    key: str
    position: int
    group: str
    outcome: Mapping[str, Any] | None
    score: Mapping[str, tuple[float, int]]
    error: str | None = None

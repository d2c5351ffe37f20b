"""The plan of an evaluation run, and the result of each row."""

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

    suite: the benchmark's name.
    source: the name of the file with its rows; displayed only, not part of the identity.
    digest: SHA-256 of that file.
    mode: the search mode; None where given responses are compared.
    options: the `search`, `budget` and `sampling` of every request.
    versions, model: the checkpoints, and the base model they belong to.
    seed: every row's own seed is derived from it.
    limit: number of rows from the start of the file; None is all.
    with_constraints: the rows' checkable constraints are sent along, so that the search uses the
        same checks that score its answer.
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
        """64 hexadecimal digits, equal for two plans exactly when all but `source` is equal."""
        values = asdict(self)
        del values["source"]
        return sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class EvaluatedRow:
    """The result of one row.

    position: its index among the rows, from 0.
    group: the subset it belongs to.
    outcome: the server's answer; None where it could not answer, and `error` says why.
    score: by metric, the sum over the row's units and their number; a failed row has the score
        of the worst outcome.
    """

    key: str
    position: int
    group: str
    outcome: Mapping[str, Any] | None
    score: Mapping[str, tuple[float, int]]
    error: str | None = None

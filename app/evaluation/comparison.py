"""What a candidate checkpoint measured against the incumbent: plain values that fit in JSON."""

from dataclasses import dataclass
from typing import Any

from pydantic import TypeAdapter

from app.domain.checkpoint import Role


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of a candidate and of the incumbent on the same items.

    candidate, incumbent: means, in the metric's unit (mostly a share, 0..1; more is better).
    difference: candidate minus incumbent; `low` and `high` are its 95 % bootstrap interval.
    gained, lost: shares of bootstrap resamples (0..1) in which the candidate is strictly better,
        strictly worse: how sure a gain, or a loss, is.
    p: exact two-sided McNemar p-value; None for scores that are not yes or no.
    n: items compared; an item may be a cluster of several units.
    """

    name: str
    candidate: float
    incumbent: float
    difference: float
    low: float
    high: float
    gained: float
    lost: float
    p: float | None
    n: int


@dataclass(frozen=True, slots=True)
class RoleReport:
    """Everything measured about one role's candidate; the primary metric is what must improve."""

    role: Role
    primary: Comparison
    others: tuple[Comparison, ...]
    n_prompts: int

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        values: dict[str, Any] = _REPORT.dump_python(self, mode="json")
        return values


_REPORT = TypeAdapter(RoleReport)

"""The report of a run, as text and JSON."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.chaos.evidence import Evidence
from tests.chaos.invariants import INVARIANTS, Violation, explained, lost, unstored, violations
from tests.chaos.outcome import End
from tests.chaos.scenario import Fault, Kind, count


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a run.

    missed: faults without a target. uncovered: kinds that this system does not support.
    """

    seed: int
    seconds: float
    system: str
    injected: Sequence[Fault]
    missed: Sequence[Fault]
    uncovered: Sequence[Kind]
    evidence: Evidence

    @property
    def violations(self) -> list[Violation]:
        """The violated invariants."""
        return violations(self.evidence)

    @property
    def lost(self) -> int:
        """Accepted requests with neither an answer nor a clean error."""
        return len(lost(self.evidence))

    def as_json(self) -> dict[str, Any]:
        """All metrics."""
        evidence = self.evidence
        missing = unstored(evidence)
        return {
            "seed": self.seed,
            "seconds": round(self.seconds, 1),
            "system": self.system,
            "faults": len(self.injected),
            "faults_by_kind": {str(kind): n for kind, n in count(self.injected).items()},
            "faults_without_target": {str(kind): n for kind, n in count(self.missed).items()},
            "not_covered": [str(kind) for kind in self.uncovered],
            "requests": len(evidence.outcomes),
            "ends": {str(end): n for end, n in self._ends().items()},
            "errors": dict(self._errors().most_common()),
            "lost": self.lost,
            "searches_stored": len(evidence.stored),
            "searches_not_stored_and_explained": sum(explained(m, evidence) for m in missing),
            "iterations": dict(Counter(one.status for one in evidence.iterations)),
            "iterations_failed": sorted({one.error for one in evidence.iterations if one.error}),
            "versions_seen": len({o.answer.versions for o in evidence.outcomes if o.answer}),
            "memory_growth_mib": [
                round((one.last - one.warm) / 2**20, 1) for one in evidence.memory
            ],
            "violations": [
                {"invariant": one.invariant, "detail": one.detail} for one in self.violations
            ],
        }

    def as_text(self) -> str:
        """The metrics as text, one per line."""
        figures = self.as_json()
        broken = figures.pop("violations")
        lines = [f"{name.replace('_', ' ')}: {_plain(value)}" for name, value in figures.items()]
        held = len(INVARIANTS) - len({one["invariant"] for one in broken})
        lines.append(f"invariants: {held} of {len(INVARIANTS)} hold")
        lines += [f"  BROKEN {one['invariant']}: {one['detail']}" for one in broken]
        return "\n".join(lines)

    def _ends(self) -> dict[End, int]:
        found = Counter(one.end for one in self.evidence.outcomes)
        return {end: found[end] for end in End}

    def _errors(self) -> Counter[str]:
        return Counter(one.detail for one in self.evidence.outcomes if one.end is End.CLEAN_ERROR)


def _plain(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)


def to_json(report: Report) -> str:
    """The report as a JSON document."""
    return json.dumps(report.as_json(), indent=2) + "\n"

"""Paired comparison of two runs of one benchmark, on the rows that both have."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.domain.evaluation import EvaluatedRow, EvaluationPlan
from app.errors import InvalidRequest
from app.evaluation.statistics import Comparison, compare

Units = tuple[float, int]
"""A row's sum over its units, and how many it has."""

_LEAST_P = 1e-4
"""The least p-value that 10,000 resamples can show."""
_EXPECTED = ("mode", "actor", "refiner")
"""Differences that are usually the subject of a comparison."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of two runs' plans. `expected`: it is usually the subject of a comparison."""

    name: str
    first: Any
    second: Any
    expected: bool


@dataclass(frozen=True, slots=True)
class Tested:
    """One metric of both runs, and the p-value of their difference.

    comparison: `incumbent` is the first run, `candidate` the second.
    p: two-sided; McNemar's exact test where a row is right or wrong (`exact`), else from the
        bootstrap over the rows.
    """

    comparison: Comparison
    p: float
    exact: bool


@dataclass(frozen=True, slots=True)
class RunComparison:
    """The comparison of two runs.

    metrics: the primary one first. rows: how many both have. only_first, only_second: rows that
    only one has. differences: of the plans. warnings: why the comparison may mislead.
    """

    metrics: tuple[Tested, ...]
    rows: int
    only_first: int
    only_second: int
    differences: tuple[Difference, ...]
    warnings: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EvaluationRun:
    """One of the runs: its plan, its rows so far, and its `total` number of rows."""

    name: str
    plan: EvaluationPlan
    rows: Sequence[EvaluatedRow]
    total: int


def compare_runs(
    first: EvaluationRun, second: EvaluationRun, *, primary: str, metric: str | None = None
) -> RunComparison:
    """Compare the second run with the first: in every metric over all rows, or in the named one.

    primary: the suite's first metric.

    Raises:
        InvalidRequest: The runs are of two suites, have no row in common, or lack the metric.
    """
    if first.plan.suite != second.plan.suite:
        raise InvalidRequest(
            f"{first.name} is a run of {first.plan.suite} and {second.name} one of"
            f" {second.plan.suite}: runs of different suites cannot be compared"
        )
    ours, theirs = _by_key(second.rows), _by_key(first.rows)
    keys = [row.key for row in first.rows if row.key in ours]
    names = _metrics(keys, theirs, ours, primary)
    if metric is not None and metric not in names:
        raise InvalidRequest(
            f"these runs have no common metric {metric!r}; they have {', '.join(names)}",
            field="metric",
        )
    if not names:
        raise InvalidRequest("the two runs have no row in common")
    differences = tuple(_differences(first.plan, second.plan))
    return RunComparison(
        metrics=tuple(
            _tested(name, keys, theirs, ours)
            for name in names
            # Metrics of subsets are many: they are compared on request.
            if (metric is None and "/" not in name) or metric == name
        ),
        rows=len(keys),
        only_first=len(theirs) - len(keys),
        only_second=len(ours) - len(keys),
        differences=differences,
        warnings=tuple(_warnings(first, second, differences)),
    )


def _by_key(rows: Sequence[EvaluatedRow]) -> dict[str, EvaluatedRow]:
    return {row.key: row for row in rows}


def _metrics(
    keys: Sequence[str],
    theirs: Mapping[str, EvaluatedRow],
    ours: Mapping[str, EvaluatedRow],
    primary: str,
) -> list[str]:
    """Metrics that some row has in both runs, the primary first, then as the rows name them."""
    names = dict.fromkeys(name for key in keys for name in theirs[key].score)
    shared = [name for name in names if _pairs(name, keys, theirs, ours)]
    return sorted(shared, key=lambda name: name != primary)


def _pairs(
    name: str,
    keys: Sequence[str],
    theirs: Mapping[str, EvaluatedRow],
    ours: Mapping[str, EvaluatedRow],
) -> list[tuple[Units, Units]]:
    """Sum and number of units in the first and in the second run, for the rows that have both."""
    found = []
    for key in keys:
        before, after = theirs[key].score.get(name), ours[key].score.get(name)
        if before is not None and after is not None:
            found.append((before, after))
    return found


def _tested(
    name: str,
    keys: Sequence[str],
    theirs: Mapping[str, EvaluatedRow],
    ours: Mapping[str, EvaluatedRow],
) -> Tested:
    before, after = zip(*_pairs(name, keys, theirs, ours), strict=True)
    (sums, units), (other_sums, other_units) = (zip(*side, strict=True) for side in (after, before))
    comparison = compare(name, sums, other_sums, units, other_units)
    if comparison.p is not None:
        return Tested(comparison, comparison.p, exact=True)
    not_better, not_worse = 1 - comparison.gained, 1 - comparison.lost
    return Tested(comparison, max(_LEAST_P, min(1.0, 2 * min(not_better, not_worse))), exact=False)


def _differences(first: EvaluationPlan, second: EvaluationPlan) -> list[Difference]:
    before, after = _parts(first), _parts(second)
    return [
        Difference(name, before.get(name), after.get(name), name in _EXPECTED)
        for name in dict.fromkeys([*before, *after])
        if before.get(name) != after.get(name)
    ]


def _parts(plan: EvaluationPlan) -> dict[str, Any]:
    """The plan by the names of its parts, options one by one."""
    values = asdict(plan)
    parts: dict[str, Any] = {"file": values["digest"][:12], "mode": values["mode"]}
    parts |= values["versions"]
    parts |= {name: values[name] for name in ("model", "seed", "limit", "with_constraints")}
    for kind, options in values["options"].items():
        parts |= {f"{kind}.{name}": value for name, value in options.items()}
    return parts


def _warnings(
    first: EvaluationRun, second: EvaluationRun, differences: Sequence[Difference]
) -> list[str]:
    found = [
        f"{difference.name} differs: {difference.first} and {difference.second}"
        for difference in differences
        if not difference.expected
    ]
    for run in (first, second):
        if len(run.rows) < run.total:
            found.append(f"{run.name} has only {len(run.rows)} of its {run.total} rows")
        if failed := sum(row.error is not None for row in run.rows):
            found.append(f"{run.name} could not answer {failed} of its rows; these count as wrong")
    return found

"""Metrics with 95 % intervals, computed from the scores of items.

A share of yes-or-no items has Wilson's interval. Anything else is bootstrapped: items are drawn
whole, because the units of one item (a prompt's instructions) are not independent.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from app.domain.checkpoint import Role
from app.evaluation.base import Metric, Score


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of a candidate and of the incumbent on the same items.

    candidate, incumbent: means, in the metric's unit (mostly a share, 0..1; more is better).
    difference: candidate minus incumbent; `low` and `high` are its 95 % bootstrap interval.
    gained, lost: shares of bootstrap resamples (0..1) in which the candidate is strictly better,
        strictly worse: the confidence of a gain, or of a loss.
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
    """All metrics of one role's candidate; the primary one must improve."""

    role: Role
    primary: Comparison
    others: tuple[Comparison, ...]
    n_prompts: int

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON-able values."""
        values: dict[str, Any] = _REPORT.dump_python(self, mode="json")
        return values


_REPORT = TypeAdapter(RoleReport)


RESAMPLES = 10_000
SUMMARY_RESAMPLES = 2_000
_INTERVAL = 0.95
_TAILS = ((1 - _INTERVAL) / 2, (1 + _INTERVAL) / 2)
_CELLS = 1_000_000
"""Resampled items held in memory at a time."""
_ROUNDING = 1e-9
"""A difference below this is rounding."""

Floats = NDArray[np.float64]


def compare(
    name: str,
    candidate: Sequence[float],
    incumbent: Sequence[float],
    units: Sequence[int] | None = None,
    incumbent_units: Sequence[int] | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two models' scores on the same items, in the same order, by the paired bootstrap.

    Items are resampled whole, because the units of one item are not independent. The same arguments
    give the same result.

    Args:
        name: The metric.
        candidate: One score per item: the sum over the item's units.
        incumbent: The other model's scores.
        units: The units of each item (a prompt's instructions); None for one each. A mean is a
            ratio of sums.
        incumbent_units: Those of the incumbent where they depend on the answer, as F1's
            denominator does; None for the same.
        seed: Of the resamples.
        resamples: How many.

    Raises:
        ValueError: No items, lengths that differ, or an item without units.
    """
    ones = [1] * len(candidate)
    sides = (candidate, units or ones, incumbent, incumbent_units or units or ones)
    if not candidate or {len(side) for side in sides} != {len(candidate)}:
        raise ValueError("both models need a score for each of the same items, at least one")
    if incumbent_units is None and min(units or ones) < 1:
        raise ValueError("an item has at least one unit")
    ours, our_units, theirs, their_units = (np.asarray(side, dtype=np.float64) for side in sides)
    parts = []
    for drawn in draws(len(ours), resamples, seed):
        parts.append(
            _ratio(ours[drawn], our_units[drawn]) - _ratio(theirs[drawn], their_units[drawn])
        )
    differences = np.concatenate(parts)
    differences[np.abs(differences) < _ROUNDING] = 0.0
    low, high = np.quantile(differences, _TAILS)
    first, second = float(_ratio(theirs, their_units)), float(_ratio(ours, our_units))
    yes_or_no = (
        max(our_units.max(), their_units.max()) == 1
        and np.isin(np.concatenate([ours, theirs]), (0.0, 1.0)).all()
    )
    return Comparison(
        name=name,
        candidate=second,
        incumbent=first,
        difference=second - first,
        low=float(low),
        high=float(high),
        gained=float(np.mean(differences > 0)),
        lost=float(np.mean(differences < 0)),
        p=mcnemar(int((ours > theirs).sum()), int((ours < theirs).sum())) if yes_or_no else None,
        n=len(ours),
    )


def _ratio(sums: Floats, units: Floats) -> Floats:
    """The ratio of the sums over the last axis; 0 where there is no unit."""
    return np.asarray(sums.sum(axis=-1) / np.maximum(units.sum(axis=-1), 1))


def mcnemar(better: int, worse: int) -> float:
    """Exact two-sided McNemar p-value of the numbers of items that got better and worse."""
    n = better + worse
    tail = sum(math.comb(n, count) for count in range(min(better, worse) + 1))
    return min(1.0, 2 * tail / (1 << n))


def wilson(successes: int, n: int, confidence: float = _INTERVAL) -> tuple[float, float]:
    """Wilson's score interval of a proportion; 0 to 1 when nothing was observed."""
    if n == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = successes / n
    centre = share + z * z / (2 * n)
    spread = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    scale = 1 + z * z / n
    # Rounding may leave the interval's end next to, not at, a share of 0 or 1.
    return max(0.0, min(share, (centre - spread) / scale)), min(
        1.0, max(share, (centre + spread) / scale)
    )


def draws(items: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Bootstrap resamples, in blocks of shape (rows, items): each row has the drawn positions."""
    rng = np.random.default_rng(seed)
    rows = max(1, _CELLS // items)
    for start in range(0, resamples, rows):
        yield rng.integers(items, size=(min(rows, resamples - start), items))


def summary(names: Sequence[str], scores: Sequence[Score]) -> list[Metric]:
    """The metrics of these names over all items, then those of their subsets.

    A metric that applies to no item is left out.
    """
    subsets = [subset for name in names for subset in _subsets(name, scores)]
    found = (measure(name, scores) for name in (*names, *subsets))
    return [metric for metric in found if metric is not None]


def measure(name: str, scores: Sequence[Score]) -> Metric | None:
    """The mean of one metric over its units; None where it applies to no item."""
    cells = [score[name] for score in scores if name in score]
    sums, units = _columns(cells)
    n = int(units.sum())
    if not n:
        return None
    value = float(sums.sum() / n)
    if units.max() == 1 and np.isin(sums, (0.0, 1.0)).all():
        low, high = wilson(int(sums.sum()), n)
    else:
        low, high = _interval(value, [(sums, units)])
    return Metric(name, value, low, high, n)


def average(name: str, metrics: Sequence[str], scores: Sequence[Score]) -> Metric | None:
    """The plain mean of several metrics, with the number of items as `n`.

    None where a metric applies to no item.
    """
    columns = [_columns([score.get(metric, (0.0, 0)) for score in scores]) for metric in metrics]
    if not scores or not all(units.sum() for _, units in columns):
        return None
    value = float(np.mean([sums.sum() / units.sum() for sums, units in columns]))
    low, high = _interval(value, columns)
    return Metric(name, value, low, high, len(scores))


def _subsets(name: str, scores: Sequence[Score]) -> list[str]:
    return sorted({found for score in scores for found in score if found.startswith(f"{name}/")})


def _columns(cells: Sequence[tuple[float, int]]) -> tuple[Floats, Floats]:
    table = np.asarray(cells, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _interval(value: float, columns: Sequence[tuple[Floats, Floats]]) -> tuple[float, float]:
    items = len(columns[0][0])
    if value < _ROUNDING or value > 1 - _ROUNDING:
        # All resamples are equal, which would give an empty interval: Wilson's, over items.
        return wilson(round(value) * items, items)
    parts = []
    for drawn in draws(items, SUMMARY_RESAMPLES, seed=0):
        with np.errstate(invalid="ignore"):  # a resample may miss every item a metric applies to
            ratios = [sums[drawn].sum(axis=1) / units[drawn].sum(axis=1) for sums, units in columns]
        parts.append(np.mean(ratios, axis=0))
    low, high = np.nanquantile(np.concatenate(parts), _TAILS)
    return min(float(low), value), max(float(high), value)

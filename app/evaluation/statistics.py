"""From the scores of items to metrics with 95 % intervals.

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


RESAMPLES = 10_000
_INTERVAL = 0.95
_CELLS = 1_000_000
"""Resampled items held in memory at a time."""
_NOTHING = 1e-9
"""A resampled sum below this is rounding, not a gain."""

Floats = NDArray[np.float64]


def compare(
    name: str,
    candidate: Sequence[float],
    incumbent: Sequence[float],
    units: Sequence[int] | None = None,
    *,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Compare two models' scores on the same items, in the same order.

    Without `units` an item has one score. With them an item is a cluster of so many units (a
    prompt with several instructions), its scores are sums over its units, and a mean is a ratio
    of sums. Items are resampled whole, because the units of one item are not independent.
    The same arguments always give the same result. Raises `ValueError` for no items, lengths
    that differ, or an item without units.
    """
    sizes = np.ones(len(candidate)) if units is None else np.asarray(units, dtype=np.float64)
    theirs, ours = (np.asarray(scores, dtype=np.float64) for scores in (incumbent, candidate))
    if not len(ours) or not len(ours) == len(theirs) == len(sizes):
        raise ValueError("both models need a score for each of the same items, at least one")
    if sizes.min() < 1:
        raise ValueError("an item has at least one unit")
    gains = ours - theirs
    differences = _resampled(gains, sizes, resamples, seed)
    low, high = np.quantile(differences, [(1 - _INTERVAL) / 2, (1 + _INTERVAL) / 2])
    return Comparison(
        name=name,
        candidate=_ratio(ours, sizes),
        incumbent=_ratio(theirs, sizes),
        difference=_ratio(gains, sizes),
        low=float(low),
        high=float(high),
        gained=float(np.mean(differences > 0)),
        lost=float(np.mean(differences < 0)),
        p=_p_value(ours, theirs, sizes),
        n=len(ours),
    )


def mcnemar(better: int, worse: int) -> float:
    """Exact two-sided p-value of so many items won and lost, if both were equally likely."""
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


def _resampled(gains: Floats, sizes: Floats, resamples: int, seed: int) -> Floats:
    """The difference in each bootstrap resample of the items."""
    parts = []
    for drawn in draws(len(gains), resamples, seed):
        sums = gains[drawn].sum(axis=1)
        sums[np.abs(sums) < _NOTHING] = 0.0
        parts.append(sums / sizes[drawn].sum(axis=1))
    return np.concatenate(parts)


def draws(items: int, resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Bootstrap resamples of so many items: blocks of rows, each row the positions drawn."""
    rng = np.random.default_rng(seed)
    rows = max(1, _CELLS // items)
    for start in range(0, resamples, rows):
        yield rng.integers(items, size=(min(rows, resamples - start), items))


def _ratio(scores: Floats, sizes: Floats) -> float:
    return float(scores.sum() / sizes.sum())


def _p_value(ours: Floats, theirs: Floats, sizes: Floats) -> float | None:
    if sizes.max() > 1 or not np.isin(np.concatenate([ours, theirs]), (0.0, 1.0)).all():
        return None
    return mcnemar(int((ours > theirs).sum()), int((ours < theirs).sum()))


SUMMARY_RESAMPLES = 2_000
_TAIL = (0.025, 0.975)
_ROUNDING = 1e-9


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
        # Every resample is the same, which does not make it certain: count items, not units.
        return wilson(round(value) * items, items)
    parts = []
    for drawn in draws(items, SUMMARY_RESAMPLES, seed=0):
        with np.errstate(invalid="ignore"):  # a resample may miss every item a metric applies to
            ratios = [sums[drawn].sum(axis=1) / units[drawn].sum(axis=1) for sums, units in columns]
        parts.append(np.mean(ratios, axis=0))
    low, high = np.nanquantile(np.concatenate(parts), _TAIL)
    return min(float(low), value), max(float(high), value)

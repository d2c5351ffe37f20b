"""Paired statistics: two models scored on the same items."""

import math
from collections.abc import Iterator, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from app.evaluation.comparison import Comparison

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

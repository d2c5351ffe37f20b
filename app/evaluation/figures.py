"""From the scores of items to figures with 95 % intervals.

A share of yes-or-no items has Wilson's interval. Anything else is bootstrapped: items are drawn
whole, because the units of one item (a prompt's instructions) are not independent.
"""

from collections.abc import Sequence

import numpy as np

from app.evaluation.base import Figure, Score
from app.evaluation.paired import Floats, draws, wilson

RESAMPLES = 2_000
_TAIL = (0.025, 0.975)
_ROUNDING = 1e-9


def summary(metrics: Sequence[str], scores: Sequence[Score]) -> list[Figure]:
    """The figures of these metrics over all items, then those of their subsets.

    A metric that applies to no item has no figure.
    """
    whole = [figure(metric, scores) for metric in metrics]
    subsets = [figure(name, scores) for metric in metrics for name in _subsets(metric, scores)]
    return [one for one in (*whole, *subsets) if one is not None]


def figure(metric: str, scores: Sequence[Score]) -> Figure | None:
    """The mean of one metric over its units; None where it applies to no item."""
    cells = [score[metric] for score in scores if metric in score]
    sums, units = _columns(cells)
    n = int(units.sum())
    if not n:
        return None
    value = float(sums.sum() / n)
    if units.max() == 1 and np.isin(sums, (0.0, 1.0)).all():
        low, high = wilson(int(sums.sum()), n)
    else:
        low, high = _interval(value, [(sums, units)])
    return Figure(metric, value, low, high, n)


def average(name: str, metrics: Sequence[str], scores: Sequence[Score]) -> Figure | None:
    """The plain mean of several metrics; `n` is the number of items. None if one has no figure."""
    columns = [_columns([score.get(metric, (0.0, 0)) for score in scores]) for metric in metrics]
    if not scores or not all(units.sum() for _, units in columns):
        return None
    value = float(np.mean([sums.sum() / units.sum() for sums, units in columns]))
    low, high = _interval(value, columns)
    return Figure(name, value, low, high, len(scores))


def _subsets(metric: str, scores: Sequence[Score]) -> list[str]:
    return sorted({name for score in scores for name in score if name.startswith(f"{metric}/")})


def _columns(cells: Sequence[tuple[float, int]]) -> tuple[Floats, Floats]:
    table = np.asarray(cells, dtype=np.float64).reshape(-1, 2)
    return table[:, 0], table[:, 1]


def _interval(value: float, columns: Sequence[tuple[Floats, Floats]]) -> tuple[float, float]:
    items = len(columns[0][0])
    if value < _ROUNDING or value > 1 - _ROUNDING:
        # Every resample is the same, which does not make it certain: count items, not units.
        return wilson(round(value) * items, items)
    parts = []
    for drawn in draws(items, RESAMPLES, seed=0):
        with np.errstate(invalid="ignore"):  # a resample may miss every item a metric applies to
            ratios = [sums[drawn].sum(axis=1) / units[drawn].sum(axis=1) for sums, units in columns]
        parts.append(np.mean(ratios, axis=0))
    low, high = np.nanquantile(np.concatenate(parts), _TAIL)
    return min(float(low), value), max(float(high), value)

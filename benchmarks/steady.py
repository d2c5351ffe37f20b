"""How fast a full queue is worked off, from its first searches to its last."""

from collections.abc import Sequence
from itertools import pairwise

from app.errors import ConfigurationError

PARTS = 10


def steady_rates(ends: Sequence[float], at_once: int) -> list[float]:
    """Searches per second in about ten parts of equal count, in the order of time.

    ends: the moments when searches ended, in seconds. They all began to wait together, and
    `at_once` of them are worked on at any time. The first `at_once` to end are left out, because
    they began together on an idle server, and so is what ends after the queue is empty: then
    fewer than `at_once` are under way. Searches of the same work end in waves of `at_once`, so
    a part is a whole number of waves; a part of one wave and a half would look fast or slow by
    where it begins.

    Raises `ConfigurationError` when there are not two parts.
    """
    ordered = sorted(ends)
    steady = len(ordered) - 2 * at_once
    size = max(1, steady // PARTS // at_once) * at_once
    if steady < 2 * size:
        raise ConfigurationError(
            f"{len(ordered)} searches are too few to compare the last with the first:"
            f" at least {4 * at_once} are needed"
        )
    borders = ordered[at_once - 1 : len(ordered) - at_once : size]
    return [size / (end - begin) for begin, end in pairwise(borders)]

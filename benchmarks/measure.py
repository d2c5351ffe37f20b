"""Comparing contenders on one machine: alternated rounds, medians, and the spread around them."""

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

Result = TypeVar("Result")
Contender = Callable[[], Awaitable[Result]]


@dataclass(frozen=True, slots=True)
class Work:
    """Work done: seconds it took, tokens generated, prompt tokens found in the prefix cache."""

    seconds: float
    tokens: int
    cached_tokens: int = 0

    @property
    def rate(self) -> float:
        """Generated tokens per second."""
        return self.tokens / self.seconds


@dataclass(frozen=True, slots=True)
class Spread:
    """A figure over several rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """The spread of at least one value."""
        found = list(values)
        return cls(median(found), min(found), max(found))

    @classmethod
    def of_ratios(cls, ours: Iterable[float], theirs: Iterable[float]) -> "Spread":
        """The spread of ours / theirs, paired by round."""
        return cls.of(our / their for our, their in zip(ours, theirs, strict=True))


async def alternate(
    contenders: Mapping[str, Contender[Result]], rounds: int
) -> dict[str, list[Result]]:
    """The results of every contender in every round; the order is reversed in odd rounds.

    So a machine that grows slower or faster meanwhile does not favor one of them.
    """
    results: dict[str, list[Result]] = {name: [] for name in contenders}
    names = list(contenders)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            results[name].append(await contenders[name]())
    return results


class Stopwatch:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds until now."""
        return time.perf_counter() - self._started

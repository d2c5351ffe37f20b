"""What every section of a benchmark gets."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.config.settings import Settings
from benchmarks.report import Row


@dataclass(frozen=True, slots=True)
class Context:
    """How to measure.

    `at_once` limits the loads to these (empty: all); `quick` shortens everything, to see that
    it works; `advance` moves the progress bar on: what has begun, and the tokens just done.
    """

    settings: Settings
    model: str
    rounds: int
    quick: bool
    at_once: Sequence[int]
    advance: Callable[[str, float], None]

    def loads(self, *usual: int) -> list[int]:
        """How many requests or searches at once to measure, of those a section knows."""
        return [load for load in usual if not self.at_once or load in self.at_once]


class Section(Protocol):
    """One thing to measure."""

    def expected_tokens(self, context: Context) -> float:
        """Roughly how many tokens it generates, for the remaining time."""
        ...

    def run(self, context: Context) -> Awaitable[list[Row]]:
        """Measure."""
        ...

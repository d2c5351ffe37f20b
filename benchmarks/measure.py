"""Comparing contenders on one machine: alternated rounds, medians, and the spread around them."""

import json
import os
import platform
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.table import Table

from app.config.settings import Settings

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

    Drift of the machine's speed therefore favors no contender.
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


@dataclass(frozen=True, slots=True)
class Target:
    """What a median should reach: at least `limit`, or below it."""

    limit: float
    at_least: bool = True

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<'} {self.limit:g}"

    def met(self, spread: Spread) -> bool:
        """Whether the median reaches it."""
        return spread.median >= self.limit if self.at_least else spread.median < self.limit


@dataclass(frozen=True, slots=True)
class Row:
    """One figure; `detail` holds what it was made of, such as both sides' tokens per second."""

    name: str
    at_once: int
    spread: Spread
    unit: str = "x"
    target: Target | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def verdict(self) -> str:
        """`met` or `missed`; empty without a target."""
        if self.target is None:
            return ""
        return "met" if self.target.met(self.spread) else "missed"


def print_table(console: Console, title: str, rows: Sequence[Row]) -> None:
    """Print one section's rows as a table."""
    table = Table(title=title, title_justify="left")
    for heading in ("figure", "at once", "median", "min to max", "target", ""):
        numeric = heading in ("at once", "median", "min to max")
        table.add_column(heading, justify="right" if numeric else "left", no_wrap=True)
    for row in rows:
        spread = row.spread
        table.add_row(
            f"{row.name} [dim]({row.unit})[/]",
            str(row.at_once),
            f"{spread.median:.3f}",
            f"{spread.low:.3f} to {spread.high:.3f}",
            str(row.target or ""),
            {"met": "[green]met[/]", "missed": "[red]missed[/]"}.get(row.verdict, ""),
        )
    console.print(table)


def write_json(
    path: Path, conditions: Mapping[str, Any], sections: Mapping[str, Sequence[Row]]
) -> None:
    """Everything that was measured, with the conditions and the machine."""
    document = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cores": len(os.sched_getaffinity(0)), "processor": platform.processor()},
        "conditions": dict(conditions),
        "sections": {name: [_row_json(row) for row in rows] for name, rows in sections.items()},
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _row_json(row: Row) -> dict[str, Any]:
    return {
        **asdict(row),
        "target": str(row.target) if row.target else None,
        "verdict": row.verdict or None,
    }


@dataclass(frozen=True, slots=True)
class Context:
    """How to measure.

    `at_once` limits the loads to these (empty: all); `quick` shortens everything, to test the
    benchmark itself; `say` reports progress.
    """

    settings: Settings
    model: str
    rounds: int
    quick: bool
    at_once: Sequence[int]
    say: Callable[[str], None]

    def loads(self, *usual: int) -> list[int]:
        """How many requests or searches at once to measure, of those a section knows."""
        return [load for load in usual if not self.at_once or load in self.at_once]


class Section(Protocol):
    """One thing to measure."""

    def run(self, context: Context) -> Awaitable[list[Row]]:
        """Measure."""
        ...

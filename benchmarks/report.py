"""What was measured, as tables and as JSON."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Spread


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
    """One section's figures for people."""
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

"""What an experiment found: tables, plots and the facts to read them by."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.evaluation.base import Figure
from app.evaluation.report import markdown_table

Cell = str | int | float | Figure | None
"""A cell of a table; a figure is shown in percent with its interval, a float as it is."""

Facts = Sequence[tuple[str, str]]
"""What a report was made with: names and texts, in order."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table. Every row has the columns of the first; they are the headings."""

    title: str
    rows: Sequence[Mapping[str, Cell]]


@dataclass(frozen=True, slots=True)
class Point:
    """A point of a line, with the ends of its 95 % interval where it has one."""

    x: float
    y: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot, in the order of its points."""

    label: str
    points: Sequence[Point]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of shares (0..1, drawn in percent). `name` is that of its files."""

    name: str
    title: str
    x: str
    y: str
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything an experiment found.

    name: that of its files. shows: what of the paper it stands for. notes: what a reader
    must know, a sentence or two each.
    """

    name: str
    title: str
    shows: str
    facts: Facts
    tables: Sequence[Table]
    plots: Sequence[Plot] = ()
    notes: Sequence[str] = ()

    def to_values(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "name": self.name,
            "title": self.title,
            "shows": self.shows,
            "facts": dict(self.facts),
            "tables": [_table_values(table) for table in self.tables],
            "plots": [asdict(plot) for plot in self.plots],
            "notes": list(self.notes),
        }


def point(x: float, figure: Figure) -> Point:
    """A figure as a point."""
    return Point(x, figure.value, figure.low, figure.high)


def markdown(report: Report) -> str:
    """The report as a Markdown document; its plots are linked by file name."""
    parts = [f"# {report.title}", report.shows]
    for table in report.tables:
        parts += [f"## {table.title}", markdown_table(*cells(table))]
    parts += [f"![{plot.title}]({plot.name}.svg)" for plot in report.plots]
    if report.notes:
        parts.append("\n".join(f"* {note}" for note in report.notes))
    parts += ["## How it was made", markdown_table(["", ""], [list(fact) for fact in report.facts])]
    return "\n\n".join(parts) + "\n"


def cells(table: Table) -> tuple[list[str], list[list[str]]]:
    """Headings and rows as text."""
    headings = list(table.rows[0]) if table.rows else []
    return headings, [[_text(row[name]) for name in headings] for row in table.rows]


def _text(cell: Cell) -> str:
    match cell:
        case None:
            return ""
        case Figure():
            return f"{cell.value:.1%} ({cell.low:.1%} to {cell.high:.1%})"
        case float():
            return f"{cell:.3g}" if abs(cell) < 100 else f"{cell:,.0f}"
        case int():
            return f"{cell:,}"
        case _:
            return cell


def _table_values(table: Table) -> dict[str, Any]:
    rows = [
        {name: asdict(cell) if isinstance(cell, Figure) else cell for name, cell in row.items()}
        for row in table.rows
    ]
    return {"title": table.title, "rows": rows}

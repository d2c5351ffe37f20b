"""Reports of experiments: tables, plots, and the files they are written to.

A report becomes `NAME.md` (tables and facts), `NAME.json.gz` (the same values, with every point of
the plots) and one PNG for each plot, which the Markdown shows.
"""

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from app.errors import ConfigurationError
from app.evaluation.base import Metric
from app.evaluation.report import markdown_table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (6.4, 4.0)
"""Width and height of a plot in inches."""

Cell = str | int | float | Metric | None
"""A cell of a table; a `Metric` is shown in percent with its 95 % interval, a float as it is."""

Facts = Sequence[tuple[str, str]]
"""What is needed to repeat an experiment: names and texts, in order."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table. Every row has the same keys, which are the headings."""

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
    """A plot of shares (0..1, drawn in percent). name: of its file, without extension."""

    name: str
    title: str
    x: str
    lines: Sequence[Line]


@dataclass(frozen=True, slots=True)
class Report:
    """The results of an experiment.

    name: of its files, without extension. shows: the paper's tables or figures that it repeats.
    notes: how to read the results, one or two sentences each.
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


def point(x: float, metric: Metric) -> Point:
    """A metric with its interval as a point."""
    return Point(x, metric.value, metric.low, metric.high)


def markdown(report: Report) -> str:
    """The report as a Markdown document that shows the plots' PNG files."""
    parts = [f"# {report.title}", report.shows]
    for table in report.tables:
        parts += [f"## {table.title}", markdown_table(*cells(table))]
    parts += [f"![{plot.title}]({plot.name}.png)" for plot in report.plots]
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
        case Metric():
            return f"{cell.value:.1%} ({cell.low:.1%} to {cell.high:.1%})"
        case float():
            return f"{cell:.3g}" if abs(cell) < 100 else f"{cell:,.0f}"
        case int():
            return f"{cell:,}"
        case _:
            return cell


def _table_values(table: Table) -> dict[str, Any]:
    rows = [
        {name: asdict(cell) if isinstance(cell, Metric) else cell for name, cell in row.items()}
        for row in table.rows
    ]
    return {"title": table.title, "rows": rows}


def write(report: Report, folder: Path) -> list[Path]:
    """Write a report's files, replacing earlier ones; the same report gives the same bytes.

    Returns the files, the Markdown first.

    Raises:
        ConfigurationError: The folder cannot be written to.
    """
    text, values = folder / f"{report.name}.md", folder / f"{report.name}.json.gz"
    packed = json.dumps(report.to_values(), ensure_ascii=False).encode()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text.write_text(markdown(report), encoding="utf-8")
        # A time stamp would make every file a different one.
        values.write_bytes(gzip.compress(packed, mtime=0))
        drawn = [_draw(plot, folder) for plot in report.plots]
    except OSError as error:
        raise ConfigurationError(f"cannot write to {folder}: {error.strerror}") from error
    return [text, values, *drawn]


def require_matplotlib() -> None:
    """Check that plots can be drawn, before an experiment runs for hours.

    Raises:
        ConfigurationError: matplotlib is not installed.
    """
    if find_spec("matplotlib") is None:
        raise ConfigurationError(
            "the experiments draw plots with matplotlib, which is not installed: run"
            " `python3 scripts/setup.py --dev`, or install the extra `experiments`"
        )


def _draw(plot: Plot, folder: Path) -> Path:
    from matplotlib.figure import Figure as Canvas
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    canvas = Canvas(figsize=_SIZE, layout="constrained")
    axes = canvas.add_subplot()
    for line in plot.lines:
        _draw_line(axes, line)
    axes.set(title=plot.title, xlabel=plot.x)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.grid(alpha=0.3)
    axes.legend()
    file = folder / f"{plot.name}.png"
    canvas.savefig(file, dpi=150)
    return file


def _draw_line(axes: "Axes", line: Line) -> None:
    points = line.points
    across = [one.x for one in points]
    (drawn,) = axes.plot(across, [one.y for one in points], marker="o", label=line.label)
    lows = [one.y if one.low is None else one.low for one in points]
    highs = [one.y if one.high is None else one.high for one in points]
    axes.fill_between(across, lows, highs, color=drawn.get_color(), alpha=0.12, linewidth=0)

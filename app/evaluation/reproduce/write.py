"""Writes a report to a folder: Markdown, JSON, and every plot as PNG and SVG."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from app.errors import ConfigurationError
from app.evaluation.reproduce.report import Line, Plot, Report, markdown

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_SIZE = (6.4, 4.0)
"""Inches."""
_FORMATS = ("png", "svg")


def write(report: Report, folder: Path) -> list[Path]:
    """The files written, the Markdown first; what an earlier report left there is replaced.

    Raises `ConfigurationError` where the folder cannot be written to.
    """
    text, values = folder / f"{report.name}.md", folder / f"{report.name}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        text.write_text(markdown(report), encoding="utf-8")
        shown = json.dumps(report.to_values(), indent=2, ensure_ascii=False)
        values.write_text(shown + "\n", encoding="utf-8")
        drawn = [file for plot in report.plots for file in draw(plot, folder)]
    except OSError as error:
        raise ConfigurationError(f"cannot write to {folder}: {error.strerror}") from error
    return [text, values, *drawn]


def draw(plot: Plot, folder: Path) -> list[Path]:
    """Draw a plot; the same plot gives the same files. Raises `OSError`."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    # Else the names inside an SVG are random.
    with matplotlib.rc_context({"svg.hashsalt": plot.name}):
        canvas = Figure(figsize=_SIZE, layout="constrained")
        axes = canvas.add_subplot()
        for line in plot.lines:
            _draw_line(axes, line)
        axes.set(title=plot.title, xlabel=plot.x, ylabel=plot.y)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.grid(alpha=0.3)
        axes.legend()
        files = [folder / f"{plot.name}.{kind}" for kind in _FORMATS]
        for file in files:
            # A date would make every file a new one.
            undated = {"Date": None} if file.suffix == ".svg" else {}
            canvas.savefig(file, metadata=undated, dpi=150)
    return files


def _draw_line(axes: "Axes", line: Line) -> None:
    points = line.points
    across = [one.x for one in points]
    (drawn,) = axes.plot(across, [one.y for one in points], marker="o", label=line.label)
    lows = [one.y if one.low is None else one.low for one in points]
    highs = [one.y if one.high is None else one.high for one in points]
    axes.fill_between(across, lows, highs, color=drawn.get_color(), alpha=0.12, linewidth=0)

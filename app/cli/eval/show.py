"""Showing evaluation runs: lists, reports and comparisons."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text

from app.cli.console import clean, err, first_words, out, print_json, say
from app.db.evaluations import StoredEvaluation
from app.errors import ConfigurationError
from app.evaluation.compare_runs import RunComparison
from app.evaluation.report import RunReport, comparison_table, facts, markdown, metric_table

_WHOLE = ("id", "name", "metric", "value", "95 %", "difference", "p")
"""Columns that are of no use when they are cut."""
_SPARE = ("versions", "mode", "suite", "failed")
"""Columns of the list that a narrow terminal has no room for: the first goes first."""
_NAME = 26
"""Characters of a name in the list: where the rest is gone, an id and two values have room."""
_GAP = 2
_LONGEST_VALUE = 8
"""Characters of the longest value."""


def show_report(report: RunReport, *, as_json: bool, file: Path | None, rows: bool = False) -> None:
    """Print a report as a table or as JSON, and write it as Markdown where a file is given.

    Raises `ConfigurationError` where the file cannot be written.
    """
    if as_json:
        print_json(report.to_values(with_rows=rows))
    else:
        _print_report(report)
        if rows:
            out().print(draw_rows(report))
    if file is not None:
        _write(file, markdown(report))


def _print_report(report: RunReport) -> None:
    grid = Table.grid(padding=(0, 2))
    for name, text in facts(report):
        grid.add_row(Text(name, "dim"), Text(clean(text)))
    out().print(grid)
    print()
    if report.findings is None:
        say(f"Not finished; `spar eval resume {report.id}` goes on.", "yellow")
    else:
        out().print(_table(*metric_table(report.findings)))


def draw_rows(report: RunReport) -> Table:
    """A line for each row: its score in every metric over all rows, and how the answer begins."""
    metrics = [name for name in _metrics(report) if "/" not in name]
    lines = []
    for row in report.rows:
        scores = [row.score.get(name) for name in metrics]
        said = row.error or (row.outcome or {}).get("response") or ""
        lines.append([row.key, row.group, *map(_fraction, scores), first_words(said)])
    return _table(["key", "group", *metrics, "answer"], lines)


def draw_list(runs: Sequence[StoredEvaluation], width: int) -> Table:
    """A line for each run, with its first metric; on `width` columns as much as has room."""
    headings = ["id", "name", "suite", "mode", "versions", "rows", "failed", "first metric"]
    columns = list(zip(headings, *map(_run_line, runs), strict=True))
    for spare in _SPARE:
        if sum(_GAP + max(map(cell_len, column)) for column in columns) - _GAP <= width:
            break
        columns = [column for column in columns if column[0] != spare]
    shown, *lines = zip(*columns, strict=True)
    return _table(shown, lines)


def run_values(run: StoredEvaluation) -> dict[str, Any]:
    """A run as JSON-able values, without its rows."""
    return {
        "id": run.id,
        "name": run.name,
        **asdict(run.plan),
        "total": run.total,
        "done": run.done,
        "failed": run.failed,
        "seconds": run.seconds,
        "summary": run.summary,
        "created_at": run.created_at.isoformat(),
        "finished_at": None if run.finished_at is None else run.finished_at.isoformat(),
    }


def show_comparison(comparison: RunComparison) -> None:
    """Print what two runs say about each other, what differs between them, and the warnings."""
    out().print(_table(*comparison_table(comparison)))
    only = f"; {comparison.only_first} and {comparison.only_second} rows only one run has"
    left = only if comparison.only_first or comparison.only_second else ""
    say(f"{comparison.rows} rows compared{left}")
    for difference in comparison.differences:
        if difference.expected:
            say(f"{difference.name}: {difference.first} and {difference.second}")
    for warning in comparison.warnings:
        err().print(Text(clean(f"warning: {warning}"), "yellow"), soft_wrap=True)


def _run_line(run: StoredEvaluation) -> list[str]:
    plan = run.plan
    metrics = (run.summary or {}).get("metrics") or []
    first = f"{metrics[0]['name']} {metrics[0]['value']:.1%}" if metrics else "…"
    versions = f"{plan.versions.actor}, {plan.versions.refiner}"
    done = f"{run.done}/{run.total}"
    mode = plan.mode or ""
    name = first_words(run.name or "", _NAME)
    return [run.id, name, plan.suite, mode, versions, done, str(run.failed), first]


def _metrics(report: RunReport) -> list[str]:
    return list(dict.fromkeys(name for row in report.rows for name in row.score))


def _fraction(units: tuple[float, int] | None) -> str:
    return "" if units is None else f"{units[0]:g}/{units[1]}"


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for name, *cells in zip(headings, *rows, strict=True):
        longest = max(map(len, cells), default=0)
        # A value is short: it takes little space, and is of no use when it is cut.
        least = max(longest, *map(len, name.split())) if longest <= _LONGEST_VALUE else None
        table.add_column(name, no_wrap=name in _WHOLE, min_width=least, overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    return table


def _write(file: Path, text: str) -> None:
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"cannot write {file}: {error.strerror}") from error

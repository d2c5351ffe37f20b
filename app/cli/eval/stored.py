"""Stored evaluation runs: reading, listing, reporting and comparing them."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.cells import cell_len
from rich.table import Table
from rich.text import Text
from sqlalchemy.ext.asyncio import AsyncSession

from app.cli.console import clean, err, first_words, out, print_json, say
from app.db.evaluations import EvaluationRepository, StoredEvaluation
from app.db.session import Database
from app.domain.evaluation import EvaluatedRow
from app.errors import ConfigurationError, DatabaseError, NotFound
from app.evaluation.compare_runs import EvaluationRun, RunComparison, compare_runs
from app.evaluation.report import (
    Findings,
    RunReport,
    comparison_table,
    facts,
    markdown,
    metric_table,
)
from app.evaluation.suites import suite_named

_TRIES = 5
_WHOLE = ("id", "name", "metric", "value", "95 %", "difference", "p")
"""Columns that are never cut."""
_SPARE = ("versions", "mode", "suite", "failed")
"""Columns of the list that a narrow terminal leaves out, in this order."""
_NAME = 26
"""Characters of a name in the list."""
_GAP = 2
_NUMBER = 8
"""Characters of the longest number."""


async def stored_run(session: AsyncSession, id_or_name: str) -> StoredEvaluation:
    """The run with this id or name.

    Raises:
        NotFound: There is none.
    """
    found = await EvaluationRepository(session).find(id_or_name)
    if found is None:
        raise NotFound(f"there is no evaluation `{id_or_name}`; `spar eval list` shows them all")
    return found


async def read_report(database: Database, id_or_name: str) -> RunReport:
    """The report of a run.

    Raises:
        NotFound: There is no run of this id or name.
    """
    async with database.session() as session:
        stored = await stored_run(session, id_or_name)
        rows = await EvaluationRepository(session).rows(stored.id)
    return RunReport(
        id=stored.id,
        name=stored.name,
        plan=stored.plan,
        rows=rows,
        total=stored.total,
        seconds=stored.seconds,
        findings=None if stored.summary is None else Findings.from_values(stored.summary),
        created_at=stored.created_at,
        finished_at=stored.finished_at,
        program=stored.program,
        command=stored.command,
    )


async def newest_runs(database: Database, limit: int) -> list[StoredEvaluation]:
    """The newest runs, newest first."""
    async with database.session() as session:
        return (await EvaluationRepository(session).page(limit))[0]


async def compare_stored(
    database: Database, first: str, second: str, metric: str | None
) -> RunComparison:
    """The second run compared with the first.

    Raises:
        NotFound: There is no run of this id or name.
        InvalidRequest: The runs cannot be compared.
    """
    before, after = [await read_report(database, name) for name in (first, second)]
    runs = [
        EvaluationRun(report.name or report.id, report.plan, report.rows, report.total)
        for report in (before, after)
    ]
    primary = suite_named(before.plan.suite).primary
    return compare_runs(runs[0], runs[1], primary=primary, metric=metric)


class RowWriter:
    """Stores the rows of one run, one at a time."""

    def __init__(self, database: Database, evaluation_id: str) -> None:
        self._database = database
        self._evaluation_id = evaluation_id
        # SQLite has one writer: rows of one run need not compete for its lock.
        self._lock = asyncio.Lock()

    async def __call__(self, row: EvaluatedRow, seconds: float) -> None:
        """Store a row, with up to 5 attempts.

        Raises:
            DatabaseError: Every attempt failed, or the error is permanent.
        """
        async with self._lock:
            for left in reversed(range(_TRIES)):
                try:
                    async with self._database.session() as session:
                        repository = EvaluationRepository(session)
                        await repository.add_row(self._evaluation_id, row, seconds)
                except DatabaseError as error:
                    if not left or error.retry_after is None:
                        raise
                    await asyncio.sleep(error.retry_after)
                else:
                    return


def show_report(report: RunReport, *, as_json: bool, file: Path | None, rows: bool = False) -> None:
    """Print a report as a table or as JSON, and write it as Markdown where a file is given.

    Raises:
        ConfigurationError: The file cannot be written.
    """
    if as_json:
        print_json(report.to_values(with_rows=rows))
    else:
        _print_report(report)
        if rows:
            out().print(draw_rows(report))
    if file is not None:
        try:
            file.write_text(markdown(report), encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(f"cannot write {file}: {error.strerror}") from error


def _print_report(report: RunReport) -> None:
    grid = Table.grid(padding=(0, 2))
    for name, text in facts(report):
        grid.add_row(Text(name, "dim"), Text(clean(text)))
    out().print(grid)
    print()
    if report.findings is None:
        say(f"Not finished; `spar eval resume {report.id}` resumes it.", "yellow")
    else:
        out().print(_table(*metric_table(report.findings)))


def draw_rows(report: RunReport) -> Table:
    """A line for each row: its score in every metric, and the beginning of the answer."""
    metrics = [name for name in _metrics(report) if "/" not in name]
    lines = []
    for row in report.rows:
        scores = [row.score.get(name) for name in metrics]
        said = row.error or (row.outcome or {}).get("response") or ""
        lines.append([row.key, row.group, *map(_fraction, scores), first_words(said)])
    return _table(["key", "group", *metrics, "answer"], lines)


def draw_list(runs: Sequence[StoredEvaluation], width: int) -> Table:
    """A line for each run, with its first metric; columns that do not fit `width` are left out."""
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
    """Print the comparison of two runs, their differing options, and the warnings."""
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
        # Numbers are short, and are never cut.
        least = max(longest, *map(len, name.split())) if longest <= _NUMBER else None
        table.add_column(name, no_wrap=name in _WHOLE, min_width=least, overflow="fold")
    for row in rows:
        table.add_row(*(Text(clean(cell)) for cell in row))
    return table

"""Evaluation runs in the database, for the command line."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.evaluations import EvaluationRepository, StoredEvaluation
from app.db.session import Database
from app.domain.evaluation import EvaluatedRow
from app.errors import DatabaseError, NotFound
from app.evaluation.compare_runs import EvaluationRun, RunComparison, compare_runs
from app.evaluation.report import Findings, RunReport
from app.evaluation.suites import suite_named

_TRIES = 5

Result = TypeVar("Result")


async def stored_run(session: AsyncSession, id_or_name: str) -> StoredEvaluation:
    """The run with this id or name. Raises `NotFound`."""
    found = await EvaluationRepository(session).find(id_or_name)
    if found is None:
        raise NotFound(f"there is no evaluation `{id_or_name}`; `spar eval list` shows them all")
    return found


async def read_report(database: Database, id_or_name: str) -> RunReport:
    """The report of a run. Raises `NotFound` and `DatabaseError`."""
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
    """The second run compared with the first. Raises `NotFound` and `InvalidRequest`."""
    before, after = [await read_report(database, name) for name in (first, second)]
    runs = [
        EvaluationRun(report.name or report.id, report.plan, report.rows, report.total)
        for report in (before, after)
    ]
    primary = suite_named(before.plan.suite).primary
    return compare_runs(runs[0], runs[1], primary=primary, metric=metric)


def within(url: str, work: Callable[[Database], Awaitable[Result]]) -> Result:
    """Do something with the database at `url`, brought to this version's tables first."""
    from app.db.upgrade import upgrade

    async def run() -> Result:
        database = Database(url)
        try:
            return await work(database)
        finally:
            await database.close()

    upgrade(url)
    return asyncio.run(run())


class Keeper:
    """Keeps the rows of one run, one at a time."""

    def __init__(self, database: Database, evaluation_id: str) -> None:
        self._database = database
        self._evaluation_id = evaluation_id
        # SQLite has one writer: rows of the same run need not wait for it in a crowd.
        self._turn = asyncio.Lock()

    async def __call__(self, row: EvaluatedRow, seconds: float) -> None:
        """Keep a row. Raises `DatabaseError`, where the trouble does not pass."""
        async with self._turn:
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

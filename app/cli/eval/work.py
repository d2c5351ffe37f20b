"""What `spar eval SUITE` and `spar eval resume` do once their arguments are read."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from app.cli.console import count, counting_bar, err, say
from app.cli.eval.plan import Wanted, base_model, begun, plan_of
from app.cli.eval.server import Where, asked_server
from app.cli.eval.store import Keeper, read_report, stored_run
from app.constraints.checker import Checker
from app.db.evaluations import EvaluationRepository, StoredEvaluation
from app.db.session import Database
from app.domain.evaluation import EvaluatedRow
from app.errors import ConfigurationError, SparError
from app.evaluation.asking import Asker
from app.evaluation.base import Suite
from app.evaluation.data import Data, read_data
from app.evaluation.http import Server
from app.evaluation.report import Findings, RunReport
from app.evaluation.runner import Evaluator, run
from app.evaluation.suites import suite_named


class Interrupted(SparError):
    """The run stopped before its end; what it has is kept."""


@dataclass(frozen=True, slots=True)
class _Begun:
    """A run that is under way, with its benchmark and its rows.

    again: the command that goes on with it, should it stop before its end.
    """

    stored: StoredEvaluation
    suite: Suite
    data: Data
    database: Database
    again: str


async def evaluate(where: Where, wanted: Wanted, database: Database) -> RunReport:
    """Make a run, or go on with one, to its end.

    Raises `Interrupted` with the command to go on, and before there is a run whatever else.
    """
    suite = suite_named(wanted.suite)
    data = read_data(suite, wanted.file, wanted.limit)
    async with asked_server(where) as server:
        plan = await plan_of(wanted, data, server, database)
        stored = await begun(plan, wanted, len(data.items), database)
        again = "the same command" if wanted.resume else _resuming(stored)
        return await _finish(_Begun(stored, suite, data, database, again), server, where)


async def resume(
    where: Where, id_or_name: str, database: Database, *, file: Path | None, retry_failed: bool
) -> RunReport:
    """Go on with a run; one that has finished is only reported, unless failed rows are retried.

    Raises `ConfigurationError` for a file or a base model that is not the run's.
    """
    async with database.session() as session:
        stored = await stored_run(session, id_or_name)
        if retry_failed:
            await EvaluationRepository(session).forget_failed(stored.id)
            stored = await stored_run(session, stored.id)
    if stored.finished_at is not None:
        say(f"{stored.id} has finished.")
        return await read_report(database, stored.id)
    suite = suite_named(stored.plan.suite)
    data = read_data(suite, file or Path(stored.plan.source), stored.plan.limit)
    if data.digest != stored.plan.digest:
        raise ConfigurationError(
            f"{data.file} is not the file that {stored.id} began with (SHA-256 {data.digest[:12]}…"
            f" instead of {stored.plan.digest[:12]}…): begin a new run"
        )
    async with asked_server(where) as server:
        model = await base_model(server.url, database)
        if model != stored.plan.model:
            raise ConfigurationError(
                f"{stored.id} began with the model {stored.plan.model}, and {server.url} has"
                f" {model}: begin a new run"
            )
        begun = _Begun(stored, suite, data, database, _resuming(stored))
        return await _finish(begun, server, where)


def _resuming(stored: StoredEvaluation) -> str:
    return f"`spar eval resume {stored.id}`"


async def _finish(one: _Begun, server: Server, where: Where) -> RunReport:
    """Give every row its result, and sum up. Raises `Interrupted`."""
    async with one.database.session() as session:
        done = {row.key for row in await EvaluationRepository(session).rows(one.stored.id)}
    checker = Checker(where.settings.check_processes, where.settings.check_seconds)
    work = Evaluator(
        suite=one.suite,
        ask=Asker(server, one.stored.plan).ask,
        checker=checker,
        keep=Keeper(one.database, one.stored.id),
        at_once=where.at_once,
    )
    try:
        await checker.start()
        await _run_with_bar(work, one, done)
        return await _summed_up(one, checker)
    except SparError as error:
        raise Interrupted(
            f"{error.message}; the rows so far are kept: {one.again} goes on"
        ) from error
    except asyncio.CancelledError:
        err().print(f"Interrupted; {one.again} resumes the run.")
        raise
    finally:
        await checker.close()


async def _run_with_bar(work: Evaluator, one: _Begun, done: Collection[str]) -> None:
    stored, total = one.stored, len(one.data.items)
    name = stored.plan.suite
    err().print(f"RunOptions {stored.id}: {name}, {count(total, 'row')}")
    with counting_bar() as bar:
        task = bar.add_task(name, total=total, completed=len(done))
        failed = 0

        def show(row: EvaluatedRow) -> None:
            nonlocal failed
            failed += row.error is not None
            text = name + (f" ({failed} failed)" if failed else "")
            bar.update(task, advance=1, description=text)

        await run(work, one.data.items, done, seconds=stored.seconds, on_row=show)


async def _summed_up(one: _Begun, checker: Checker) -> RunReport:
    run_id, items = one.stored.id, one.data.items
    async with one.database.session() as session:
        scores = {row.key: row.score for row in await EvaluationRepository(session).rows(run_id)}
    findings = Findings(
        one.suite.metrics(items, [scores[item.key] for item in items]),
        await one.suite.floors(items, checker),
    )
    async with one.database.session() as session:
        await EvaluationRepository(session).finish(run_id, findings.to_values())
    return replace(await read_report(one.database, run_id), findings=findings)

"""Evaluation runs are stored row by row, so that a stopped run can be resumed."""

from dataclasses import replace
from typing import Any

import pytest

from app.db.evaluations import EvaluationRepository, NewEvaluation, StoredEvaluation
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.domain.evaluation import EvaluatedRow, EvaluationPlan
from app.domain.search import Mode
from tests.helpers.evaluating import plan_of, row_of

FAILED = row_of("2", 1, outcome=None, score={"prompts": (0.0, 1)}, error="too long")


async def begin(database: Database, plan: EvaluationPlan | None = None, **fields: Any) -> str:
    async with database.session() as session:
        new = NewEvaluation(plan or plan_of(), 2, **fields)
        return await EvaluationRepository(session).add(new)


async def keep(database: Database, run: str, *rows: EvaluatedRow) -> list[bool]:
    async with database.session() as session:
        repository = EvaluationRepository(session)
        return [await repository.add_row(run, row, 1.5) for row in rows]


async def found(database: Database, run: str) -> StoredEvaluation:
    async with database.session() as session:
        stored = await EvaluationRepository(session).find(run)
    assert stored is not None
    return stored


async def rows_of(database: Database, run: str) -> list[EvaluatedRow]:
    async with database.session() as session:
        return await EvaluationRepository(session).rows(run)


async def test_a_run_is_read_as_it_was_added(database: Database) -> None:
    plan = plan_of(Mode.BFS, versions=Versions(3, 2), limit=7, seed=2**60, with_constraints=True)
    run = await begin(database, plan, name="first", program="1.0", command="spar eval ifeval")
    stored = await found(database, run)
    assert stored.plan == plan
    assert (stored.name, stored.program, stored.command) == ("first", "1.0", "spar eval ifeval")
    assert (stored.total, stored.done, stored.failed, stored.finished_at) == (2, 0, 0, None)


async def test_rows_come_back_in_the_files_order(database: Database) -> None:
    run = await begin(database)
    assert await keep(database, run, FAILED, row_of("1")) == [True, True]
    assert await rows_of(database, run) == [row_of("1"), FAILED]
    stored = await found(database, run)
    assert (stored.done, stored.failed, stored.seconds) == (2, 1, 1.5)


async def test_a_row_is_kept_once_in_each_run(database: Database) -> None:
    run, other = await begin(database), await begin(database)
    again = replace(row_of("1"), score={"prompts": (0.0, 1)})
    assert await keep(database, run, row_of("1"), again) == [True, False]
    assert await keep(database, other, again) == [True]
    assert await rows_of(database, run) == [row_of("1")]


async def test_a_label_names_the_newest_run_of_it(database: Database) -> None:
    await begin(database, name="night")
    newest = await begin(database, name="night")
    assert (await found(database, "night")).id == newest


async def test_only_an_unfinished_run_of_the_same_plan_is_resumed(database: Database) -> None:
    plan = plan_of()
    finished, run = await begin(database, plan), await begin(database, plan)
    async with database.session() as session:
        repository = EvaluationRepository(session)
        await repository.finish(finished, {"metrics": []})
        moved = replace(plan, source="/elsewhere/ifeval.jsonl")
        unfinished = await repository.unfinished(moved)
        assert unfinished is not None
        assert unfinished.id == run
        assert await repository.unfinished(replace(plan, digest="e" * 64)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"digest": "e" * 64},
        {"mode": Mode.BFS},
        {"options": {}},
        {"versions": Versions(1, 0)},
        {"model": "other"},
        {"seed": 2},
        {"limit": 1},
        {"with_constraints": True},
        {"suite": "ifbench"},
    ],
)
def test_whatever_changes_the_answers_changes_the_identity(change: dict[str, Any]) -> None:
    assert plan_of(**change).identity != plan_of().identity


async def test_failed_rows_can_be_deleted(database: Database) -> None:
    run = await begin(database)
    await keep(database, run, row_of("1"), FAILED)
    async with database.session() as session:
        repository = EvaluationRepository(session)
        await repository.finish(run, {"metrics": []})
        assert await repository.delete_failed(run) == 1
    stored = await found(database, run)
    assert (stored.finished_at, stored.summary, stored.done) == (None, None, 1)


async def test_runs_are_listed_newest_first_page_by_page(database: Database) -> None:
    runs = sorted([await begin(database) for _ in range(3)], reverse=True)
    async with database.session() as session:
        repository = EvaluationRepository(session)
        first, cursor = await repository.page(2)
        second, end = await repository.page(2, cursor)
    assert [run.id for run in (*first, *second)] == runs
    assert end is None

"""Benchmark runs through the admin endpoint."""

import httpx

from app.db.evaluations import EvaluationRepository, NewEvaluation
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.evaluation.base import Metric
from app.evaluation.report import Findings
from tests.helpers.evaluating import plan_of

METRIC = Metric("prompts", 0.5, 0.4, 0.6, 80)


async def measure(database: Database, version: int, *, finished: bool = True) -> str:
    async with database.session() as session:
        runs = EvaluationRepository(session)
        run = await runs.add(NewEvaluation(plan_of(versions=Versions(version, 0)), 80))
        if finished:
            await runs.finish(run, Findings([METRIC]).to_values())
    return run


async def test_runs_are_paged_newest_first_with_their_figures(
    admin: httpx.AsyncClient, database: Database
) -> None:
    old, new = await measure(database, 0), await measure(database, 1, finished=False)
    first = (await admin.get("/admin/evaluations", params={"limit": 1})).json()
    assert [one["id"] for one in first["evaluations"]] == [new]
    assert first["evaluations"][0]["metrics"] == []
    more = {"limit": 1, "cursor": first["next_cursor"]}
    second = (await admin.get("/admin/evaluations", params=more)).json()
    (run,) = second["evaluations"]
    assert second["next_cursor"] is None
    assert (run["id"], run["checkpoint"]) == (old, {"actor": 0, "refiner": 0})
    assert run["metrics"] == [{"name": "prompts", "value": 0.5, "low": 0.4, "high": 0.6, "n": 80}]

"""`GET /admin/evaluations`: what `spar eval` measured."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app.api.admin.schemas import Cursor
from app.api.deps import ServicesDep
from app.api.render import checkpoint_out
from app.api.schemas import CheckpointOut
from app.db.evaluations import EvaluationRepository, StoredEvaluation
from app.domain.search import Mode

router = APIRouter(prefix="/admin", tags=["checkpoints"])


class MetricOut(BaseModel):
    """One metric with its 95 % interval, over `n` units."""

    name: str
    value: float
    low: float
    high: float
    n: int


class EvaluationOut(BaseModel):
    """One run of a benchmark. `metrics` are empty until it has finished; the first one leads."""

    id: str
    name: str | None
    suite: str
    mode: Mode | None = Field(description="Null where given responses were judged.")
    checkpoint: CheckpointOut
    model: str
    seed: int
    row_limit: int | None
    with_constraints: bool
    total: int
    done: int
    failed: int
    seconds: float
    metrics: list[MetricOut]
    created_at: datetime
    finished_at: datetime | None


class EvaluationPageOut(BaseModel):
    """One page, newest first; pass `next_cursor` as `cursor` for the next one."""

    evaluations: list[EvaluationOut]
    next_cursor: str | None


@router.get("/evaluations")
async def list_evaluations(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=200, description="Runs per page.")] = 50,
    cursor: Cursor = None,
) -> EvaluationPageOut:
    """Benchmark runs, newest first, with their metrics."""
    async with services.database.session() as session:
        page, next_cursor = await EvaluationRepository(session).page(limit, cursor)
    return EvaluationPageOut(
        evaluations=[evaluation_out(one) for one in page], next_cursor=next_cursor
    )


def evaluation_out(stored: StoredEvaluation) -> EvaluationOut:
    """One run as it is told."""
    plan = stored.plan
    return EvaluationOut(
        id=stored.id,
        name=stored.name,
        suite=plan.suite,
        mode=plan.mode,
        checkpoint=checkpoint_out(plan.versions),
        model=plan.model,
        seed=plan.seed,
        row_limit=plan.limit,
        with_constraints=plan.with_constraints,
        total=stored.total,
        done=stored.done,
        failed=stored.failed,
        seconds=stored.seconds,
        metrics=[MetricOut(**metric) for metric in (stored.summary or {}).get("metrics", [])],
        created_at=stored.created_at,
        finished_at=stored.finished_at,
    )

"""Checkpoints, promotions, what each server serves, and evaluations of checkpoints."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import BaseModel, Field

from app.api.admin.render import promotion_out, server_out, version_out
from app.api.admin.schemas import Cursor, PromotionPageOut, ServingOut, VersionsOut
from app.api.deps import ServicesDep
from app.api.render import checkpoint_out
from app.api.schemas import CheckpointOut
from app.db.checkpoints import CheckpointRepository, ServerRepository, StoredCheckpoint
from app.db.evaluations import EvaluationRepository, StoredEvaluation
from app.domain.checkpoint import (
    CheckpointStatus,
    PromotionCause,
    Role,
    Versions,
    served_name,
)
from app.domain.search import Mode
from app.errors import Conflict, NotFound

router = APIRouter(prefix="/admin", tags=["checkpoints"])

SEEN_WITHIN = timedelta(seconds=30)


@router.get("/checkpoints")
async def list_checkpoints(services: ServicesDep) -> VersionsOut:
    """Every version of each role."""
    async with services.database.session() as session:
        checkpoints = CheckpointRepository(session)
        serving = (await checkpoints.serving()).versions
        stored = await checkpoints.all()
    return VersionsOut(checkpoints=[version_out(one, serving) for one in stored])


@router.post("/checkpoints/{role}/{version}/promote")
async def promote_checkpoint(
    role: Role, version: Annotated[int, Path(ge=0, le=2**31 - 1)], services: ServicesDep
) -> CheckpointOut:
    """Promote a version of one role. Returns the versions that every server is to serve."""
    async with services.database.session() as session:
        checkpoints = CheckpointRepository(session)
        await checkpoints.lock_serving()
        stored = await checkpoints.get(role, version)
        if stored is None:
            raise NotFound(f"there is no checkpoint {served_name(role, version)}")
        serving = (await checkpoints.serving()).versions
        _check_promotable(stored, serving)
        versions = serving.with_version(role, version)
        await checkpoints.promote(versions, PromotionCause.PROMOTE)
    return checkpoint_out(versions)


@router.post("/checkpoints/{role}/rollback")
async def roll_back(role: Role, services: ServicesDep) -> CheckpointOut:
    """Promote the previous version of one role. Returns the versions to serve."""
    async with services.database.session() as session:
        checkpoints = CheckpointRepository(session)
        await checkpoints.lock_serving()
        version = await checkpoints.previous_version(role)
        if version is None:
            raise Conflict(f"there is no earlier version of the {role}")
        versions = (await checkpoints.serving()).versions.with_version(role, version)
        await checkpoints.promote(versions, PromotionCause.ROLLBACK)
    return checkpoint_out(versions)


@router.get("/promotions")
async def list_promotions(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=200, description="Promotions per page.")] = 20,
    cursor: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="`next_cursor` of the previous page.")
    ] = None,
) -> PromotionPageOut:
    """Promotions and their causes, newest first."""
    async with services.database.session() as session:
        found = await CheckpointRepository(session).history(limit + 1, cursor)
    page = [promotion_out(one) for one in found[:limit]]
    return PromotionPageOut(
        promotions=page, next_cursor=page[-1].id if len(found) > limit else None
    )


@router.get("/serving")
async def serving(services: ServicesDep) -> ServingOut:
    """The promoted versions, and what each server seen in the last 30 seconds serves."""
    async with services.database.session() as session:
        promoted = (await CheckpointRepository(session).serving()).versions
        servers = await ServerRepository(session).seen_since(datetime.now(UTC) - SEEN_WITHIN)
    return ServingOut(
        promoted=checkpoint_out(promoted), servers=[server_out(state) for state in servers]
    )


def _check_promotable(stored: StoredCheckpoint, serving: Versions) -> None:
    name = served_name(stored.role, stored.version)
    if stored.status is CheckpointStatus.TRAINING:
        raise Conflict(f"the training of {name} has not finished")
    if serving.of(stored.role) == stored.version:
        raise Conflict(f"{name} is already served")


class MetricOut(BaseModel):
    """One metric with its 95 % confidence interval over `n` units."""

    name: str
    value: float
    low: float
    high: float
    n: int


class EvaluationOut(BaseModel):
    """One benchmark run. `metrics` are empty until it ends; the first is the primary metric."""

    id: str
    name: str | None
    suite: str
    mode: Mode | None = Field(description="Null if given responses were judged.")
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
    """One page, newest first; `cursor=next_cursor` requests the next one."""

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
    """One run."""
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

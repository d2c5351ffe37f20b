"""From what is stored to the JSON of the admin endpoint."""

from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.api.admin.schemas import (
    IterationOut,
    PromotionOut,
    SampleOut,
    ServerOut,
    StageOut,
    StepOut,
    TrainedOut,
    VersionOut,
)
from app.api.render import checkpoint_out
from app.db.checkpoints import CheckpointRepository, PromotionRecord, ServerState, StoredCheckpoint
from app.db.iterations import IterationRepository, Sample, StoredIteration
from app.domain.checkpoint import Role, Versions
from app.errors import NotFound


def iteration_out(stored: StoredIteration, trained: Iterable[StoredCheckpoint]) -> IterationOut:
    """An iteration; those of `trained` that it made are its checkpoints."""
    return IterationOut(
        id=stored.id,
        status=stored.status,
        stage=stored.stage,
        stages=[StageOut(**asdict(stage)) for stage in stored.stages],
        kind=stored.kind,
        preset=stored.preset,
        promote=stored.promote,
        options=stored.options,
        checkpoints=[
            TrainedOut(role=one.role, version=one.version, status=one.status)
            for one in trained
            if one.iteration_id == stored.id
        ],
        report=stored.report,
        error=stored.error,
        created_at=stored.created_at,
        started_at=stored.started_at,
        finished_at=stored.finished_at,
        cancel_requested=stored.cancel_requested,
    )


def sample_out(sample: Sample, position: int) -> SampleOut:
    """One row of training data."""
    return SampleOut(
        position=position,
        role=sample.role,
        kind=sample.kind,
        content=dict(sample.content),
        checkpoint=checkpoint_out(sample.versions),
        search_id=sample.search_id,
        node_id=sample.node_id,
    )


def step_out(role: Role, step: tuple[int, dict[str, Any]]) -> StepOut:
    """One training step."""
    return StepOut(role=role, step=step[0], metrics=step[1])


def version_out(stored: StoredCheckpoint, serving: Versions) -> VersionOut:
    """One version of one role."""
    return VersionOut(
        role=stored.role,
        version=stored.version,
        status=stored.status,
        parent=stored.parent,
        iteration=stored.iteration_id,
        kind=stored.kind,
        evaluation=stored.evaluation,
        error=stored.error,
        serving=serving.of(stored.role) == stored.version,
        created_at=stored.created_at,
    )


def promotion_out(record: PromotionRecord) -> PromotionOut:
    """One change of what serves."""
    return PromotionOut(
        id=record.promotion.id,
        checkpoint=checkpoint_out(record.promotion.versions),
        cause=record.cause,
        iteration=record.iteration_id,
        created_at=record.created_at,
    )


def server_out(state: ServerState) -> ServerOut:
    """One server."""
    return ServerOut(
        id=state.id,
        url=state.url,
        actor=state.versions.actor,
        refiner=state.versions.refiner,
        ready=state.ready,
        error=state.error,
        started_at=state.started_at,
        seen_at=state.seen_at,
    )


async def find_iteration(session: AsyncSession, iteration_id: str) -> StoredIteration:
    """The iteration of that id. Raises `NotFound`."""
    stored = await IterationRepository(session).get(iteration_id)
    if stored is None:
        raise NotFound(f"there is no iteration {iteration_id}")
    return stored


async def whole_iteration(session: AsyncSession, stored: StoredIteration) -> IterationOut:
    """The iteration with the checkpoints it made."""
    return iteration_out(stored, await CheckpointRepository(session).of_iteration(stored.id))

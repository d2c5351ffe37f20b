"""From what is stored to the JSON of the admin endpoints: what is computed."""

from collections.abc import Iterable
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.api.admin.schemas import (
    IterationOut,
    PromotionOut,
    SampleOut,
    ServerOut,
    StepOut,
    VersionOut,
)
from app.api.render import render
from app.db.checkpoints import CheckpointRepository, PromotionRecord, ServerState, StoredCheckpoint
from app.db.iterations import IterationRepository, Sample, StoredIteration
from app.domain.checkpoint import Role, Versions
from app.errors import NotFound


def iteration_out(stored: StoredIteration, trained: Iterable[StoredCheckpoint]) -> IterationOut:
    """An iteration; those of `trained` that it made are its checkpoints."""
    mine = [one for one in trained if one.iteration_id == stored.id]
    return render(IterationOut, stored, checkpoints=mine)


def sample_out(sample: Sample, position: int) -> SampleOut:
    """One row of training data."""
    return render(SampleOut, sample, position=position, checkpoint=sample.versions)


def step_out(role: Role, step: tuple[int, dict[str, Any]]) -> StepOut:
    """One training step."""
    return StepOut(role=role, step=step[0], metrics=step[1])


def version_out(stored: StoredCheckpoint, serving: Versions) -> VersionOut:
    """One version of one role."""
    is_served = serving.of(stored.role) == stored.version
    return render(VersionOut, stored, iteration=stored.iteration_id, serving=is_served)


def promotion_out(record: PromotionRecord) -> PromotionOut:
    """One change of what serves."""
    return render(PromotionOut, record, checkpoint=record.versions, iteration=record.iteration_id)


def server_out(state: ServerState) -> ServerOut:
    """One server."""
    return render(ServerOut, state, actor=state.versions.actor, refiner=state.versions.refiner)


async def find_iteration(session: AsyncSession, iteration_id: str) -> StoredIteration:
    """The iteration of that id.

    Raises:
        NotFound: there is none.
    """
    stored = await IterationRepository(session).get(iteration_id)
    if stored is None:
        raise NotFound(f"there is no iteration {iteration_id}")
    return stored


async def whole_iteration(session: AsyncSession, stored: StoredIteration) -> IterationOut:
    """The iteration with the checkpoints it made."""
    return iteration_out(stored, await CheckpointRepository(session).of_iteration(stored.id))

"""What an iteration makes: items of its stages, training samples, training steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.dialect import insert_new
from app.db.tables import ItemRow, SampleRow, TrainingStepRow
from app.domain.checkpoint import Role, Versions
from app.domain.iteration import SampleKind, Stage


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of training data in TRL's format, and what it came from.

    `content` has `prompt`, `chosen` and `rejected` (a preference pair) or `messages` (anything
    else). `search_id` and `node_id` name the stored search's node that was chosen, where there
    is one.
    """

    role: Role
    kind: SampleKind
    content: Mapping[str, Any]
    versions: Versions
    search_id: str | None = None
    node_id: int | None = None


class SampleRepository:
    """Writes and reads an iteration's work inside the caller's transaction."""

    def __init__(self, session: AsyncSession, iteration_id: str) -> None:
        self._session = session
        self._iteration_id = iteration_id

    async def add_item(self, stage: Stage, key: str, result: Any) -> None:
        """Store the result of one item of a stage, unless it has one already."""
        row = {"iteration_id": self._iteration_id, "stage": stage, "key": key, "result": result}
        await insert_new(self._session, ItemRow, [row], known_by=["iteration_id", "stage", "key"])

    async def items(self, stage: Stage) -> dict[str, Any]:
        """The results of a stage so far, by key."""
        query = select(ItemRow.key, ItemRow.result).where(
            ItemRow.iteration_id == self._iteration_id, ItemRow.stage == stage
        )
        return dict((await self._session.execute(query)).all())

    async def replace_samples(self, role: Role, samples: Sequence[Sample]) -> None:
        """Store all training samples of a role, in place of any that were there."""
        await self._session.execute(
            delete(SampleRow).where(
                SampleRow.iteration_id == self._iteration_id, SampleRow.role == role
            )
        )
        if samples:
            await self._session.execute(
                insert(SampleRow),
                [
                    {
                        "iteration_id": self._iteration_id,
                        "role": role,
                        "position": position,
                        "kind": sample.kind,
                        "content": sample.content,
                        "search_id": sample.search_id,
                        "node_id": sample.node_id,
                        "actor_version": sample.versions.actor,
                        "refiner_version": sample.versions.refiner,
                    }
                    for position, sample in enumerate(samples)
                ],
            )

    async def samples(
        self, role: Role, *, limit: int | None = None, after: int = -1
    ) -> list[Sample]:
        """The training samples of a role, in order, from the position after `after`."""
        query = (
            select(SampleRow)
            .where(
                SampleRow.iteration_id == self._iteration_id,
                SampleRow.role == role,
                SampleRow.position > after,
            )
            .order_by(SampleRow.position)
            .limit(limit)
        )
        return [_sample(row) for row in await self._session.scalars(query)]

    async def count_samples(self) -> dict[SampleKind, int]:
        """How many samples there are of each kind."""
        query = (
            select(SampleRow.kind, func.count())
            .where(SampleRow.iteration_id == self._iteration_id)
            .group_by(SampleRow.kind)
        )
        return dict((await self._session.execute(query)).all())

    async def record_step(self, role: Role, step: int, metrics: Mapping[str, Any]) -> None:
        """Store what the trainer reported after a step; a step done again replaces the first."""
        await self._session.merge(
            TrainingStepRow(
                iteration_id=self._iteration_id, role=role, step=step, metrics=dict(metrics)
            )
        )

    async def steps(self, role: Role, *, after: int = -1) -> list[tuple[int, dict[str, Any]]]:
        """Steps of a role's training with their metrics, in order, from the one after `after`."""
        query = (
            select(TrainingStepRow.step, TrainingStepRow.metrics)
            .where(
                TrainingStepRow.iteration_id == self._iteration_id,
                TrainingStepRow.role == role,
                TrainingStepRow.step > after,
            )
            .order_by(TrainingStepRow.step)
        )
        return list((await self._session.execute(query)).all())


def _sample(row: SampleRow) -> Sample:
    return Sample(
        role=row.role,
        kind=row.kind,
        content=row.content,
        versions=Versions(row.actor_version, row.refiner_version),
        search_id=row.search_id,
        node_id=row.node_id,
    )

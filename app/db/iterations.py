"""Stored iterations with their stages, the results of stages, training data and steps."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from ulid import ULID

from app.db.session import insert_new, newest_rows
from app.db.tables import ItemRow, IterationRow, SampleRow, StageRow, TrainingStepRow, from_row
from app.domain.checkpoint import Role, Versions
from app.domain.iteration import (
    STAGES,
    IterationKind,
    IterationOptions,
    Policy,
    SampleKind,
    Stage,
    Status,
)


@dataclass(frozen=True, slots=True)
class Sample:
    """One row of training data in TRL's format, with its origin.

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
    """Writes and reads the results of one iteration inside the caller's transaction."""

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
        """Replace all training samples of a role."""
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
        return [from_row(Sample, row) for row in await self._session.scalars(query)]

    async def count_samples(self) -> dict[SampleKind, int]:
        """How many samples there are of each kind."""
        query = (
            select(SampleRow.kind, func.count())
            .where(SampleRow.iteration_id == self._iteration_id)
            .group_by(SampleRow.kind)
        )
        return dict((await self._session.execute(query)).all())

    async def record_step(self, role: Role, step: int, metrics: Mapping[str, Any]) -> None:
        """Store the trainer's metrics after a step; a repeated step replaces the first."""
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


@dataclass(frozen=True, slots=True)
class StoredStage:
    """One stage: progress in items, and the metrics that it reported."""

    name: Stage
    status: Status
    done: int
    total: int
    metrics: dict[str, Any]
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredIteration:
    """One iteration. `incumbents` generate its data, and its candidates are compared with them.

    `report` is the gate's decision with its metrics, once there is one.
    """

    id: str
    kind: IterationKind
    status: Status
    stage: Stage | None
    stages: tuple[StoredStage, ...]
    preset: str
    promote: Policy
    options: IterationOptions
    cancel_requested: bool
    error: str | None
    incumbents: Versions | None
    report: Any
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewIteration:
    """An iteration to be queued."""

    preset: str
    options: IterationOptions
    promote: Policy = Policy.GATE
    kind: IterationKind = IterationKind.SELF_PLAY
    idempotency_key: str | None = None


class IterationRepository:
    """Writes and reads iterations inside the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, new: NewIteration) -> str:
        """Queue an iteration and return its id.

        With an idempotency key that was used before, nothing is queued, and the id is that of the
        earlier iteration.
        """
        iteration_id = str(ULID())
        row = IterationRow(
            id=iteration_id,
            kind=new.kind,
            status=Status.QUEUED,
            preset=new.preset,
            promote=new.promote,
            options=new.options.model_dump(mode="json"),
            idempotency_key=new.idempotency_key,
            cancel_requested=False,
            created_at=datetime.now(UTC),
        )
        try:
            async with self._session.begin_nested():
                self._session.add(row)
        except IntegrityError:
            known = await self._session.scalar(
                select(IterationRow.id).where(IterationRow.idempotency_key == new.idempotency_key)
            )
            assert known is not None, "only the key can be there already"
            return known
        self._session.add_all(
            StageRow(
                iteration_id=iteration_id,
                name=stage,
                position=position,
                status=Status.QUEUED,
                done=0,
                total=0,
                metrics={},
            )
            for position, stage in enumerate(STAGES[new.kind])
        )
        return iteration_id

    async def get(self, iteration_id: str) -> StoredIteration | None:
        """One iteration with its stages, or None if no iteration has that id."""
        row = await self._session.get(IterationRow, iteration_id, populate_existing=True)
        if row is None:
            return None
        return _stored(row, await self._stages([iteration_id]))

    async def page(
        self, limit: int, cursor: str | None = None
    ) -> tuple[list[StoredIteration], str | None]:
        """Up to `limit` iterations, newest first, and the cursor of the next page, if any."""
        rows, following = await newest_rows(self._session, IterationRow, limit, cursor)
        stages = await self._stages([row.id for row in rows])
        return [_stored(row, stages) for row in rows], following

    async def next_to_run(self) -> StoredIteration | None:
        """The running iteration, else the oldest queued one, else None."""
        query = (
            select(IterationRow)
            .where(IterationRow.status.in_([Status.RUNNING, Status.QUEUED]))
            # "running" sorts after "queued".
            .order_by(IterationRow.status.desc(), IterationRow.id)
            .limit(1)
        )
        row = await self._session.scalar(query)
        return None if row is None else _stored(row, await self._stages([row.id]))

    async def request_cancel(self, iteration_id: str) -> bool:
        """Request that an iteration be cancelled; False if it has ended.

        A queued iteration is cancelled immediately, a running one by its worker.
        """
        return await self._change(
            iteration_id,
            (IterationRow.status == Status.QUEUED,),
            status=Status.CANCELLED,
            finished_at=datetime.now(UTC),
        ) or await self._change(
            iteration_id, (IterationRow.status == Status.RUNNING,), cancel_requested=True
        )

    async def resume(self, iteration_id: str) -> bool:
        """Queue a failed or cancelled iteration again; False for any other."""
        return await self._change(
            iteration_id,
            (IterationRow.status.in_([Status.FAILED, Status.CANCELLED]),),
            status=Status.QUEUED,
            cancel_requested=False,
            error=None,
            finished_at=None,
        )

    async def start(self, iteration_id: str, incumbents: Versions) -> bool:
        """Record that an iteration starts or continues; False if it was cancelled meanwhile.

        The incumbents and the start time of the first start are kept.
        """
        begins = (IterationRow.status.in_([Status.QUEUED, Status.RUNNING]),)
        if not await self._change(iteration_id, begins, status=Status.RUNNING):
            return False
        row = await self._row(iteration_id)
        row.started_at = row.started_at or datetime.now(UTC)
        row.incumbents = row.incumbents or incumbents
        return True

    async def finish(self, iteration_id: str, status: Status, *, error: str | None = None) -> None:
        """Record the end of an iteration and of its running stage."""
        row = await self._row(iteration_id)
        row.status, row.error, row.finished_at = status, error, datetime.now(UTC)
        await self._session.execute(
            update(StageRow)
            .where(StageRow.iteration_id == iteration_id, StageRow.status == Status.RUNNING)
            .values(status=status)
        )

    async def record_report(self, iteration_id: str, report: Any) -> None:
        """Store the gate's decision with its metrics."""
        (await self._row(iteration_id)).report = report

    async def start_stage(self, iteration_id: str, stage: Stage) -> None:
        """Record that a stage begins or continues; one that has succeeded keeps its record."""
        row = await self._stage_row(iteration_id, stage)
        if row.status is not Status.SUCCEEDED:
            (await self._row(iteration_id)).stage = stage
            row.status = Status.RUNNING
            row.started_at = row.started_at or datetime.now(UTC)

    async def record_progress(self, iteration_id: str, stage: Stage, done: int, total: int) -> None:
        """Record how many of a stage's items are done; one that has succeeded keeps its record."""
        row = await self._stage_row(iteration_id, stage)
        if row.status is not Status.SUCCEEDED:
            row.done, row.total = done, total

    async def finish_stage(self, iteration_id: str, stage: Stage, metrics: dict[str, Any]) -> None:
        """Record that a stage has succeeded, unless that is recorded already.

        A resumed iteration passes through its finished stages again; their times and metrics stay
        those of the run that did the work.
        """
        row = await self._stage_row(iteration_id, stage)
        if row.status is not Status.SUCCEEDED:
            row.status, row.metrics, row.finished_at = Status.SUCCEEDED, metrics, datetime.now(UTC)

    async def _row(self, iteration_id: str) -> IterationRow:
        return await self._session.get_one(IterationRow, iteration_id)

    async def _stage_row(self, iteration_id: str, stage: Stage) -> StageRow:
        return await self._session.get_one(StageRow, (iteration_id, stage))

    async def _stages(self, iteration_ids: list[str]) -> list[StageRow]:
        query = (
            select(StageRow)
            .where(StageRow.iteration_id.in_(iteration_ids))
            .order_by(StageRow.position)
            .execution_options(populate_existing=True)
        )
        return list(await self._session.scalars(query))

    async def _change(self, iteration_id: str, conditions: tuple[Any, ...], **values: Any) -> bool:
        changed = await self._session.scalar(
            update(IterationRow)
            .where(IterationRow.id == iteration_id, *conditions)
            .values(**values)
            .returning(IterationRow.id)
        )
        return changed is not None


def _stored(row: IterationRow, stages: list[StageRow]) -> StoredIteration:
    mine = (from_row(StoredStage, stage) for stage in stages if stage.iteration_id == row.id)
    options = IterationOptions.model_validate(row.options)
    return from_row(StoredIteration, row, options=options, stages=tuple(mine))


@dataclass(frozen=True, slots=True)
class IterationCounts:
    """Numbers of iterations by kind and status, and of stages by name and status, if not 0."""

    iterations: Mapping[tuple[IterationKind, Status], int]
    stages: Mapping[tuple[Stage, Status], int]


async def iteration_counts(session: AsyncSession) -> IterationCounts:
    """Count iterations and stages inside the caller's transaction."""
    iterations = await session.execute(
        select(IterationRow.kind, IterationRow.status, func.count()).group_by(
            IterationRow.kind, IterationRow.status
        )
    )
    stages = await session.execute(
        select(StageRow.name, StageRow.status, func.count()).group_by(
            StageRow.name, StageRow.status
        )
    )
    return IterationCounts(
        {(kind, status): count for kind, status, count in iterations},
        {(stage, status): count for stage, status, count in stages},
    )

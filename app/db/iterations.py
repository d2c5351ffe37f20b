"""Stored iterations: what was asked, and how far each stage is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from ulid import ULID

from app.db.session import insert_new
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


@dataclass(frozen=True, slots=True)
class StoredStage:
    """How far one stage is; `metrics` is what it counted or measured."""

    name: Stage
    status: Status
    done: int
    total: int
    metrics: dict[str, Any]
    started_at: datetime | None
    finished_at: datetime | None


@dataclass(frozen=True, slots=True)
class StoredIteration:
    """One iteration. `incumbents` are the versions it plays with and is measured against.

    `report` is the gate's decision with its figures, once there is one.
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

        With an idempotency key that was used before, nothing is queued and the id is the one
        from then.
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
        """One iteration with its stages, or None when there is none of that id."""
        row = await self._session.get(IterationRow, iteration_id, populate_existing=True)
        if row is None:
            return None
        return _stored(row, await self._stages([iteration_id]))

    async def page(
        self, limit: int, cursor: str | None = None
    ) -> tuple[list[StoredIteration], str | None]:
        """Up to `limit` iterations, newest first, and the cursor of the next page, if any."""
        query = select(IterationRow).order_by(IterationRow.id.desc())
        if cursor is not None:
            query = query.where(IterationRow.id < cursor)
        rows = (await self._session.scalars(query.limit(limit + 1))).all()
        stages = await self._stages([row.id for row in rows[:limit]])
        page = [_stored(row, stages) for row in rows[:limit]]
        return page, page[-1].id if len(rows) > limit else None

    async def next_to_run(self) -> StoredIteration | None:
        """The one that was running, else the oldest that is queued; None without either."""
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
        """Ask for the end of an iteration; whether there was something to end.

        A queued one is cancelled at once, a running one by its worker.
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
        """Queue a failed or cancelled iteration again; whether it was one of those."""
        return await self._change(
            iteration_id,
            (IterationRow.status.in_([Status.FAILED, Status.CANCELLED]),),
            status=Status.QUEUED,
            cancel_requested=False,
            error=None,
            finished_at=None,
        )

    async def start(self, iteration_id: str, incumbents: Versions) -> bool:
        """An iteration begins, or goes on; False if somebody has cancelled it meanwhile.

        Its incumbents and its start are those of the first time.
        """
        begins = (IterationRow.status.in_([Status.QUEUED, Status.RUNNING]),)
        if not await self._change(iteration_id, begins, status=Status.RUNNING):
            return False
        row = await self._row(iteration_id)
        row.started_at = row.started_at or datetime.now(UTC)
        row.incumbents = row.incumbents or incumbents
        return True

    async def finish(self, iteration_id: str, status: Status, *, error: str | None = None) -> None:
        """An iteration ends; the stage it was in ends with it."""
        row = await self._row(iteration_id)
        row.status, row.error, row.finished_at = status, error, datetime.now(UTC)
        await self._session.execute(
            update(StageRow)
            .where(StageRow.iteration_id == iteration_id, StageRow.status == Status.RUNNING)
            .values(status=status)
        )

    async def record_report(self, iteration_id: str, report: Any) -> None:
        """Store the gate's decision with its figures."""
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
    """Iterations by kind and status, and their stages by name and status; absent means none."""

    iterations: Mapping[tuple[IterationKind, Status], int]
    stages: Mapping[tuple[Stage, Status], int]


async def iteration_counts(session: AsyncSession) -> IterationCounts:
    """Count what the database holds, inside the caller's transaction."""
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

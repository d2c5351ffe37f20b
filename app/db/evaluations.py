"""Stored evaluation runs: their plan, and the result of each row."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from ulid import ULID

from app.db.session import insert_new
from app.db.tables import EvaluatedItemRow, EvaluationRow, from_row
from app.domain.evaluation import EvaluatedRow, EvaluationPlan


@dataclass(frozen=True, slots=True)
class NewEvaluation:
    """A run to begin.

    total: number of rows. name: a label. program: this program's version. command: the command
    line that started the run.
    """

    plan: EvaluationPlan
    total: int
    name: str | None = None
    program: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class StoredEvaluation:
    """A run as it is stored.

    done: rows with a result, including the `failed` ones. seconds: time spent so far. summary: the
    metrics, once the run has finished.
    """

    id: str
    plan: EvaluationPlan
    total: int
    name: str | None
    program: str
    command: str
    done: int
    failed: int
    seconds: float
    summary: Mapping[str, Any] | None
    created_at: datetime
    finished_at: datetime | None


class EvaluationRepository:
    """Writes and reads evaluation runs inside the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, new: NewEvaluation) -> str:
        """Begin a run and return its id."""
        evaluation_id, plan = str(ULID()), new.plan
        await self._session.execute(
            insert(EvaluationRow).values(
                id=evaluation_id,
                name=new.name,
                identity=plan.identity,
                suite=plan.suite,
                source=plan.source,
                digest=plan.digest,
                mode=plan.mode,
                options=plan.options,
                actor_version=plan.versions.actor,
                refiner_version=plan.versions.refiner,
                model=plan.model,
                seed=plan.seed,
                row_limit=plan.limit,
                with_constraints=plan.with_constraints,
                total=new.total,
                program=new.program,
                command=new.command,
                seconds=0.0,
                summary=None,
                created_at=datetime.now(UTC),
                finished_at=None,
            )
        )
        return evaluation_id

    async def find(self, id_or_name: str) -> StoredEvaluation | None:
        """The run with this id, or the newest one with this name."""
        query = select(EvaluationRow.id).where(
            or_(EvaluationRow.id == id_or_name, EvaluationRow.name == id_or_name)
        )
        found = await self._session.scalar(query.order_by(EvaluationRow.id.desc()).limit(1))
        runs = [] if found is None else await self._read(_runs().where(EvaluationRow.id == found))
        return runs[0] if runs else None

    async def unfinished(self, plan: EvaluationPlan) -> StoredEvaluation | None:
        """The newest unfinished run with the same plan."""
        query = _runs().where(
            EvaluationRow.identity == plan.identity, EvaluationRow.finished_at.is_(None)
        )
        runs = await self._read(query.order_by(EvaluationRow.id.desc()).limit(1))
        return runs[0] if runs else None

    async def page(
        self, limit: int, cursor: str | None = None
    ) -> tuple[list[StoredEvaluation], str | None]:
        """Up to `limit` runs, newest first, and the cursor of the next page, if any."""
        query = _runs().order_by(EvaluationRow.id.desc()).limit(limit + 1)
        if cursor is not None:
            query = query.where(EvaluationRow.id < cursor)
        runs = await self._read(query)
        return runs[:limit], runs[limit - 1].id if len(runs) > limit else None

    async def add_row(self, evaluation_id: str, row: EvaluatedRow, seconds: float) -> bool:
        """Store a row's result and the time spent so far; False if the row has a result already."""
        values = {
            "evaluation_id": evaluation_id,
            "key": row.key,
            "position": row.position,
            "group": row.group,
            "outcome": row.outcome,
            "score": {name: list(units) for name, units in row.score.items()},
            "error": row.error,
            "created_at": datetime.now(UTC),
        }
        known_by = ["evaluation_id", "key"]
        new = await insert_new(self._session, EvaluatedItemRow, [values], known_by=known_by)
        await self._session.execute(
            update(EvaluationRow).where(EvaluationRow.id == evaluation_id).values(seconds=seconds)
        )
        return bool(new)

    async def rows(self, evaluation_id: str) -> list[EvaluatedRow]:
        """Every stored row of a run, in the file's order."""
        query = (
            select(EvaluatedItemRow)
            .where(EvaluatedItemRow.evaluation_id == evaluation_id)
            .order_by(EvaluatedItemRow.position)
        )
        return [_row(row) for row in await self._session.scalars(query)]

    async def delete_failed(self, evaluation_id: str) -> int:
        """Delete the results of failed rows, so that they are run again; gives their number."""
        deleted = await self._session.execute(
            delete(EvaluatedItemRow)
            .where(
                EvaluatedItemRow.evaluation_id == evaluation_id,
                EvaluatedItemRow.error.is_not(None),
            )
            .returning(EvaluatedItemRow.key)
        )
        count = len(deleted.all())
        if count:
            await self._change(evaluation_id, finished_at=None, summary=None)
        return count

    async def finish(self, evaluation_id: str, summary: Mapping[str, Any]) -> None:
        """Record that the run is complete, with its metrics."""
        await self._change(evaluation_id, finished_at=datetime.now(UTC), summary=summary)

    async def _change(self, evaluation_id: str, **values: Any) -> None:
        await self._session.execute(
            update(EvaluationRow).where(EvaluationRow.id == evaluation_id).values(**values)
        )

    async def _read(self, query: Select[EvaluationRow, int, int]) -> list[StoredEvaluation]:
        found = await self._session.execute(query)
        return [_stored(row, done, failed) for row, done, failed in found]


def _runs() -> Select[EvaluationRow, int, int]:
    """Select runs with the number of their results, and of the failed ones."""
    mine = EvaluatedItemRow.evaluation_id == EvaluationRow.id
    done = select(func.count(EvaluatedItemRow.key)).where(mine).scalar_subquery()
    failed = select(func.count(EvaluatedItemRow.error)).where(mine).scalar_subquery()
    return select(EvaluationRow, done, failed)


def _stored(row: EvaluationRow, done: int, failed: int) -> StoredEvaluation:
    plan = from_row(EvaluationPlan, row, limit=row.row_limit)
    return from_row(StoredEvaluation, row, plan=plan, done=done, failed=failed)


def _row(row: EvaluatedItemRow) -> EvaluatedRow:
    score = {name: (float(total), int(units)) for name, (total, units) in row.score.items()}
    return from_row(EvaluatedRow, row, score=score)

"""Stored checkpoints: which versions of each role exist, and which serve."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.tables import CheckpointRow, PromotionRow, ServerRow, from_row
from app.domain.checkpoint import CheckpointKind, CheckpointStatus, PromotionCause, Role, Versions

BASE_VERSION = 0


@dataclass(frozen=True, slots=True)
class StoredCheckpoint:
    """One version of a role's weights; see `CheckpointRow`."""

    role: Role
    version: int
    status: CheckpointStatus
    kind: CheckpointKind
    model: str
    path: str | None
    digest: str | None
    parent: int | None
    iteration_id: str | None
    evaluation: Any
    error: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Promotion:
    """The versions that serve. `id` grows; 0 stands for the base models at the start."""

    id: int = 0
    versions: Versions = Versions()


@dataclass(frozen=True, slots=True, kw_only=True)
class PromotionRecord(Promotion):
    """A promotion with its time, its cause, and the iteration that decided it, if one did."""

    cause: PromotionCause
    iteration_id: str | None
    created_at: datetime


class CheckpointRepository:
    """Writes and reads checkpoints inside the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def ensure_base_checkpoints(self, model: str) -> None:
        """Record the base model (folder or hub name) as version 0 of each role.

        What is recorded already stays as it is. Several servers may do this at once.
        """
        for role in Role:
            try:
                # Insert without a SELECT first: another server could insert between the two.
                async with self._session.begin_nested():
                    self._session.add(_base(role, model))
            except IntegrityError:
                continue

    async def serving(self) -> Promotion:
        """The promotion in force: the newest one, or the base models before the first one."""
        return next(iter(await self.promotions(1)), Promotion())

    async def promotions(self, limit: int) -> list[Promotion]:
        """The last promotions, newest first."""
        query = select(PromotionRow).order_by(PromotionRow.id.desc()).limit(limit)
        return [from_row(Promotion, row) for row in await self._session.scalars(query)]

    async def history(self, limit: int, before: int | None = None) -> list[PromotionRecord]:
        """Up to `limit` promotions, newest first; with `before`, those with a smaller id."""
        query = select(PromotionRow).order_by(PromotionRow.id.desc()).limit(limit)
        if before is not None:
            query = query.where(PromotionRow.id < before)
        return [from_row(PromotionRecord, row) for row in await self._session.scalars(query)]

    async def previous_version(self, role: Role) -> int | None:
        """The version that served for this role before the current one; None without one."""
        column = _version_column(role)
        current = (await self.serving()).versions.of(role)
        query = select(column).where(column != current).order_by(PromotionRow.id.desc()).limit(1)
        found: int | None = await self._session.scalar(query)
        # Before the first promotion, the base model served.
        return BASE_VERSION if found is None and current != BASE_VERSION else found

    async def promote(
        self, versions: Versions, cause: PromotionCause, iteration_id: str | None = None
    ) -> Promotion:
        """Record that every server is to serve these versions, both roles at once."""
        promotion_id = await self._session.scalar(
            insert(PromotionRow)
            .values(
                created_at=datetime.now(UTC),
                actor_version=versions.actor,
                refiner_version=versions.refiner,
                cause=cause,
                iteration_id=iteration_id,
            )
            .returning(PromotionRow.id)
        )
        assert promotion_id is not None, "an insert returns its id"
        for role in Role:
            await self.decide(role, versions.of(role), CheckpointStatus.PROMOTED)
        return Promotion(promotion_id, versions)

    async def lock_serving(self) -> None:
        """Lock the promotions until this transaction ends.

        Call it first: what is read before it may be out of date.
        """
        # An UPDATE without effect takes the lock on every database. The base rows always exist.
        await self._session.execute(
            update(CheckpointRow)
            .where(CheckpointRow.version == BASE_VERSION)
            .values(model=CheckpointRow.model)
            .execution_options(synchronize_session=False)
        )

    async def promoted_by(self, iteration_id: str) -> bool:
        """Whether this iteration has already promoted a checkpoint."""
        query = select(PromotionRow.id).where(PromotionRow.iteration_id == iteration_id)
        return await self._session.scalar(query) is not None

    async def get(self, role: Role, version: int) -> StoredCheckpoint | None:
        """One checkpoint, or None where there is none."""
        of = CheckpointRow.role == role, CheckpointRow.version == version
        return next(iter(await self._read(_checkpoints().where(*of))), None)

    async def base_checkpoint(self, stored: StoredCheckpoint) -> StoredCheckpoint | None:
        """The checkpoint with the full weights that a checkpoint needs; the same one if it is full.

        Follows the parents of an adapter to full weights or the base model; None if the records
        lead to neither.
        """
        found: StoredCheckpoint | None = stored
        while found is not None and found.kind is CheckpointKind.LORA:
            parent = BASE_VERSION if found.parent is None else found.parent
            found = await self.get(found.role, parent) if parent < found.version else None
        return found

    async def all(self) -> list[StoredCheckpoint]:
        """Every checkpoint, by role, newest first."""
        return await self._read(
            _checkpoints().order_by(CheckpointRow.role, CheckpointRow.version.desc())
        )

    async def of_iteration(self, iteration_id: str) -> list[StoredCheckpoint]:
        """The checkpoints that an iteration has trained or is training."""
        return await self.of_iterations([iteration_id])

    async def of_iterations(self, iteration_ids: Sequence[str]) -> list[StoredCheckpoint]:
        """The checkpoints that these iterations have trained or are training."""
        query = _checkpoints().where(CheckpointRow.iteration_id.in_(iteration_ids))
        return await self._read(query.order_by(CheckpointRow.role))

    async def begin(
        self,
        role: Role,
        *,
        kind: CheckpointKind,
        model: str,
        parent: int,
        iteration_id: str | None = None,
    ) -> int:
        """Record a new checkpoint whose files do not exist yet, and return its version.

        Idempotent: an iteration has one version of each role.
        """
        if iteration_id is not None:
            mine = [row for row in await self.of_iteration(iteration_id) if row.role is role]
            if mine:
                return mine[0].version
        newest = await self._session.scalar(
            select(func.max(CheckpointRow.version)).where(CheckpointRow.role == role)
        )
        version = (newest or BASE_VERSION) + 1
        self._session.add(
            CheckpointRow(
                role=role,
                version=version,
                status=CheckpointStatus.TRAINING,
                kind=kind,
                model=model,
                parent=parent,
                iteration_id=iteration_id,
                created_at=datetime.now(UTC),
            )
        )
        await self._session.flush()
        return version

    async def discard(self, role: Role, version: int) -> None:
        """Delete the row of a checkpoint whose files never became complete."""
        await self._session.execute(
            delete(CheckpointRow).where(
                CheckpointRow.role == role,
                CheckpointRow.version == version,
                CheckpointRow.status == CheckpointStatus.TRAINING,
            )
        )

    async def complete(self, role: Role, version: int, path: str, digest: str) -> None:
        """Record that the files are complete: their folder, and the hash of their manifest."""
        await self._set(role, version, path=path, digest=digest, status=CheckpointStatus.CANDIDATE)

    async def decide(
        self, role: Role, version: int, status: CheckpointStatus, evaluation: Any = None
    ) -> None:
        """Set a checkpoint's status, and its evaluation report if there is one."""
        report = {} if evaluation is None else {"evaluation": evaluation}
        await self._set(role, version, status=status, **report)

    async def record_error(self, role: Role, version: int, error: str | None) -> None:
        """Record why a checkpoint cannot be served; None if it can."""
        await self._set(role, version, error=error)

    async def _read(self, query: Select[*tuple[Any, ...]]) -> list[StoredCheckpoint]:
        return [StoredCheckpoint(*row) for row in await self._session.execute(query)]

    async def _set(self, role: Role, version: int, **values: Any) -> None:
        await self._session.execute(
            update(CheckpointRow)
            .where(CheckpointRow.role == role, CheckpointRow.version == version)
            .values(**values)
        )


def _checkpoints() -> Select[*tuple[Any, ...]]:
    """Select columns, not rows: a list of thousands takes half as long."""
    return select(*(getattr(CheckpointRow, field.name) for field in fields(StoredCheckpoint)))


def _version_column(role: Role) -> Any:
    return PromotionRow.actor_version if role is Role.ACTOR else PromotionRow.refiner_version


def _base(role: Role, model: str) -> CheckpointRow:
    return CheckpointRow(
        role=role,
        version=BASE_VERSION,
        status=CheckpointStatus.PROMOTED,
        kind=CheckpointKind.BASE,
        model=model,
        created_at=datetime.now(UTC),
    )


EXPIRES_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ServerState:
    """One server; `error` says why it does not serve what was promoted."""

    id: str
    url: str
    versions: Versions
    ready: bool
    error: str | None
    started_at: datetime
    seen_at: datetime


class ServerRepository:
    """Writes and reads servers inside the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def report(self, state: ServerState) -> None:
        """Store a server's state, and delete servers that have not reported for a day."""
        # DELETE before the SELECT of merge(): on SQLite a transaction that reads first cannot
        # wait for the write lock.
        await self._session.execute(
            delete(ServerRow).where(ServerRow.seen_at < datetime.now(UTC) - EXPIRES_AFTER)
        )
        values = {one.name: getattr(state, one.name) for one in fields(state)}
        await self._session.merge(ServerRow(**values))

    async def remove(self, server_id: str) -> None:
        """Delete the row of a server that shuts down."""
        await self._session.execute(delete(ServerRow).where(ServerRow.id == server_id))

    async def seen_since(self, moment: datetime) -> list[ServerState]:
        """The servers that reported after this moment, by their start."""
        query = select(ServerRow).where(ServerRow.seen_at >= moment).order_by(ServerRow.id)
        return [from_row(ServerState, row) for row in await self._session.scalars(query)]

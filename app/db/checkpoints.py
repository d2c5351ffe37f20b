"""Stored checkpoints: which versions of each role exist, and which serve."""

from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.tables import CheckpointKind, CheckpointRow, CheckpointStatus
from app.domain.checkpoint import Role, Versions

BASE_VERSION = 0


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
                # The insert comes first, and not a look whether it is needed: between the two
                # another server could have inserted the row.
                async with self._session.begin_nested():
                    self._session.add(_base(role, model))
            except IntegrityError:
                continue

    async def serving_versions(self) -> Versions:
        """The newest promoted version of each role; 0, the base model, where there is none."""
        query = (
            select(CheckpointRow.role, func.max(CheckpointRow.version))
            .where(CheckpointRow.status == CheckpointStatus.PROMOTED)
            .group_by(CheckpointRow.role)
        )
        newest = dict((await self._session.execute(query)).all())
        return Versions(
            actor=newest.get(Role.ACTOR, BASE_VERSION),
            refiner=newest.get(Role.REFINER, BASE_VERSION),
        )


def _base(role: Role, model: str) -> CheckpointRow:
    return CheckpointRow(
        role=role,
        version=BASE_VERSION,
        status=CheckpointStatus.PROMOTED,
        kind=CheckpointKind.BASE,
        model=model,
        path=None,
        parent=None,
        created_at=datetime.now(UTC),
    )

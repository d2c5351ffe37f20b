"""Checkpoints, what serves, and the servers that serve it."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import SHA256_LENGTH, ULID_LENGTH, Base
from app.db.types import StorableText
from app.domain.checkpoint import CheckpointKind, CheckpointStatus, PromotionCause, Role


class CheckpointRow(Base):
    """One version of a role's weights; version 0 of each role is the base model.

    `path` is relative to the data folder and `digest` the hash of the manifest there; both are
    set when the files are complete. An iteration makes at most one version of a role.
    """

    __tablename__ = "checkpoints"
    __table_args__ = (sa.UniqueConstraint("iteration_id", "role"),)

    role: Mapped[Role] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    status: Mapped[CheckpointStatus]
    kind: Mapped[CheckpointKind]
    model: Mapped[str]
    path: Mapped[str | None]
    digest: Mapped[str | None] = mapped_column(StorableText(SHA256_LENGTH))
    parent: Mapped[int | None]
    iteration_id: Mapped[str | None] = mapped_column(
        StorableText(ULID_LENGTH), sa.ForeignKey("iterations.id")
    )
    evaluation: Mapped[Any] = mapped_column(nullable=True)
    error: Mapped[str | None]
    created_at: Mapped[datetime]


class PromotionRow(Base):
    """What serves from a moment on, for both roles at once; the newest row holds.

    Rows are only ever added, so the history of what served is kept. An iteration promotes at
    most once.
    """

    __tablename__ = "promotions"
    __table_args__ = (sa.UniqueConstraint("iteration_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    actor_version: Mapped[int]
    refiner_version: Mapped[int]
    cause: Mapped[PromotionCause]
    iteration_id: Mapped[str | None] = mapped_column(
        StorableText(ULID_LENGTH), sa.ForeignKey("iterations.id")
    )


class ServerRow(Base):
    """What one server serves, as it last said itself."""

    __tablename__ = "servers"

    id: Mapped[str] = mapped_column(StorableText(ULID_LENGTH), primary_key=True)
    url: Mapped[str]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    actor_version: Mapped[int]
    refiner_version: Mapped[int]
    ready: Mapped[bool]
    error: Mapped[str | None]

"""Iterations: their stages, items, samples and training steps, and who may write them."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import ULID_LENGTH, Base
from app.db.types import StorableText
from app.domain.checkpoint import Role
from app.domain.iteration import Kind, Policy, SampleKind, Stage, Status


class LeaseRow(Base):
    """Who may do a thing that only one process may do at a time.

    `fence` grows with every new holder, so that an earlier one can be told apart for ever.
    """

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(StorableText(32), primary_key=True)
    owner: Mapped[str]
    fence: Mapped[int]
    expires_at: Mapped[datetime]


class IterationRow(Base):
    """One self-play iteration. Ids are ULIDs, so the primary key also orders by time."""

    __tablename__ = "iterations"
    __table_args__ = (sa.UniqueConstraint("idempotency_key"),)

    id: Mapped[str] = mapped_column(StorableText(ULID_LENGTH), primary_key=True)
    kind: Mapped[Kind]
    status: Mapped[Status] = mapped_column(index=True)
    stage: Mapped[Stage | None]
    preset: Mapped[str]
    promote: Mapped[Policy]
    options: Mapped[Any]
    idempotency_key: Mapped[str | None] = mapped_column(StorableText(255))
    cancel_requested: Mapped[bool]
    error: Mapped[str | None]
    actor_version: Mapped[int | None]
    refiner_version: Mapped[int | None]
    report: Mapped[Any] = mapped_column(nullable=True)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class StageRow(Base):
    """How far one stage of an iteration is."""

    __tablename__ = "stages"

    iteration_id: Mapped[str] = mapped_column(
        StorableText(ULID_LENGTH),
        sa.ForeignKey("iterations.id", ondelete="CASCADE"),
        primary_key=True,
    )
    name: Mapped[Stage] = mapped_column(primary_key=True)
    position: Mapped[int]
    status: Mapped[Status]
    done: Mapped[int]
    total: Mapped[int]
    metrics: Mapped[Any]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class ItemRow(Base):
    """The result of one item of a stage: what makes a stage go on where it was."""

    __tablename__ = "items"

    iteration_id: Mapped[str] = mapped_column(
        StorableText(ULID_LENGTH),
        sa.ForeignKey("iterations.id", ondelete="CASCADE"),
        primary_key=True,
    )
    stage: Mapped[Stage] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(StorableText(64), primary_key=True)
    result: Mapped[Any]


class SampleRow(Base):
    """One row of training data, and what it came from."""

    __tablename__ = "samples"

    iteration_id: Mapped[str] = mapped_column(
        StorableText(ULID_LENGTH),
        sa.ForeignKey("iterations.id", ondelete="CASCADE"),
        primary_key=True,
    )
    role: Mapped[Role] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[SampleKind]
    content: Mapped[Any]
    search_id: Mapped[str | None] = mapped_column(StorableText(ULID_LENGTH), index=True)
    node_id: Mapped[int | None]
    actor_version: Mapped[int]
    refiner_version: Mapped[int]


class TrainingStepRow(Base):
    """What the trainer reported after one optimiser step: loss, reward margin, accuracy."""

    __tablename__ = "training_steps"

    iteration_id: Mapped[str] = mapped_column(
        StorableText(ULID_LENGTH),
        sa.ForeignKey("iterations.id", ondelete="CASCADE"),
        primary_key=True,
    )
    role: Mapped[Role] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    metrics: Mapped[Any]

"""Evaluation runs and their rows."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import SHA256_LENGTH, ULID_LENGTH, Base
from app.db.types import StorableText
from app.domain.options import Mode


class EvaluationRow(Base):
    """One run of a benchmark. Ids are ULIDs, so the primary key also orders by time.

    `identity` is the hash of the plan: a run that was interrupted is found by it. `seconds` is
    the time spent on it so far, over all its parts; `summary` holds the figures of a finished one.
    """

    __tablename__ = "evaluations"

    id: Mapped[str] = mapped_column(StorableText(ULID_LENGTH), primary_key=True)
    name: Mapped[str | None]
    identity: Mapped[str] = mapped_column(StorableText(SHA256_LENGTH), index=True)
    suite: Mapped[str] = mapped_column(StorableText(32))
    source: Mapped[str]
    digest: Mapped[str] = mapped_column(StorableText(SHA256_LENGTH))
    mode: Mapped[Mode | None]
    options: Mapped[Any]
    actor_version: Mapped[int]
    refiner_version: Mapped[int]
    model: Mapped[str]
    seed: Mapped[int] = mapped_column(sa.BigInteger)
    row_limit: Mapped[int | None]
    with_constraints: Mapped[bool]
    total: Mapped[int]
    program: Mapped[str]
    command: Mapped[str]
    seconds: Mapped[float]
    summary: Mapped[Any] = mapped_column(nullable=True)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class EvaluatedItemRow(Base):
    """What became of one row of the benchmark's file; each is stored once."""

    __tablename__ = "evaluated_items"

    evaluation_id: Mapped[str] = mapped_column(
        StorableText(ULID_LENGTH),
        sa.ForeignKey("evaluations.id", ondelete="CASCADE"),
        primary_key=True,
    )
    key: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    group: Mapped[str]
    outcome: Mapped[Any] = mapped_column(nullable=True)
    score: Mapped[Any]
    error: Mapped[str | None]
    created_at: Mapped[datetime]

"""The tables. A change here needs a migration; a test compares the two."""

from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from app.db.types import StorableJSON, StorableText, UtcDateTime
from app.domain.budget import StopReason
from app.domain.checkpoint import Role
from app.domain.options import Mode
from app.domain.tree import NodeKind

SEARCH_ID_LENGTH = 26


class CheckpointKind(StrEnum):
    """How a checkpoint's weights are kept: the base model itself."""

    BASE = "base"


class CheckpointStatus(StrEnum):
    """Where a checkpoint stands: promoted ones may serve, the newest of them does."""

    PROMOTED = "promoted"


def _values(enum: type[Enum]) -> list[str]:
    return [member.value for member in enum]


class Base(DeclarativeBase):
    """Base of every table: constraint names are stable, so that migrations can name them."""

    metadata = sa.MetaData(
        naming_convention={
            "pk": "pk_%(table_name)s",
            "fk": "fk_%(table_name)s_%(referred_table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )
    type_annotation_map: ClassVar = {
        str: StorableText(),
        Any: StorableJSON(),
        float: sa.Double(),
        datetime: UtcDateTime(),
        # Plain strings in the database: a new member needs no migration.
        Enum: sa.Enum(Enum, native_enum=False, length=16, values_callable=_values),
    }


class SearchRow(Base):
    """One finished search. Ids are ULIDs, so the primary key also orders the list by time."""

    __tablename__ = "searches"

    id: Mapped[str] = mapped_column(StorableText(SEARCH_ID_LENGTH), primary_key=True)
    created_at: Mapped[datetime]
    mode: Mapped[Mode]
    messages: Mapped[Any]
    prompt: Mapped[str]
    constraints: Mapped[Any]
    options: Mapped[Any]
    response: Mapped[str]
    accepted: Mapped[bool | None]
    value: Mapped[float | None]
    critique: Mapped[str | None]
    results: Mapped[Any]
    best_node: Mapped[int | None]
    stop_reason: Mapped[StopReason]
    actor_version: Mapped[int]
    refiner_version: Mapped[int]
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    responses: Mapped[int]
    refinements: Mapped[int]
    judgments: Mapped[int]
    votes: Mapped[int]
    nodes: Mapped[int]
    timing_ms: Mapped[float]


class NodeRow(Base):
    """One node of a search's tree, the root included."""

    __tablename__ = "nodes"

    search_id: Mapped[str] = mapped_column(
        StorableText(SEARCH_ID_LENGTH),
        sa.ForeignKey("searches.id", ondelete="CASCADE"),
        primary_key=True,
    )
    node_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    parent: Mapped[int | None]
    depth: Mapped[int]
    kind: Mapped[NodeKind]
    text: Mapped[str]
    value: Mapped[float | None]
    accepted: Mapped[bool | None]
    critique: Mapped[str | None]
    constraints: Mapped[Any]
    partial: Mapped[bool]
    completion_tokens: Mapped[int]
    created_ms: Mapped[float]


class VoteRow(Base):
    """One vote on a node, in the order they were cast."""

    __tablename__ = "votes"
    __table_args__ = (
        sa.ForeignKeyConstraint(
            ["search_id", "node_id"], ["nodes.search_id", "nodes.node_id"], ondelete="CASCADE"
        ),
    )

    search_id: Mapped[str] = mapped_column(StorableText(SEARCH_ID_LENGTH), primary_key=True)
    node_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    verdict: Mapped[bool]
    probability: Mapped[float]
    critique: Mapped[str]


class CheckpointRow(Base):
    """One version of a role's weights; version 0 of each role is the base model."""

    __tablename__ = "checkpoints"

    role: Mapped[Role] = mapped_column(primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    status: Mapped[CheckpointStatus]
    kind: Mapped[CheckpointKind]
    model: Mapped[str]
    path: Mapped[str | None]
    parent: Mapped[int | None]
    created_at: Mapped[datetime]

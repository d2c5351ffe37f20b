"""Searches, their trees and votes."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import ULID_LENGTH, Base
from app.db.types import StorableText
from app.domain.budget import StopReason
from app.domain.options import Mode
from app.domain.tree import NodeKind


class SearchRow(Base):
    """One finished search. Ids are ULIDs, so the primary key also orders the list by time."""

    __tablename__ = "searches"
    # One for each filter of the list, whose order is that of the id.
    __table_args__ = (
        sa.Index(None, "mode", "id"),
        sa.Index(None, "accepted", "id"),
        sa.Index(None, "stop_reason", "id"),
        sa.Index(None, "actor_version", "id"),
        sa.Index(None, "refiner_version", "id"),
    )

    id: Mapped[str] = mapped_column(StorableText(ULID_LENGTH), primary_key=True)
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
        StorableText(ULID_LENGTH),
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
    first_look: Mapped[float | None]
    late_critique: Mapped[str | None]
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

    search_id: Mapped[str] = mapped_column(StorableText(ULID_LENGTH), primary_key=True)
    node_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    verdict: Mapped[bool]
    probability: Mapped[float]
    critique: Mapped[str]

"""Every table, and the conversion of rows into the values that repositories return.

Ids are ULIDs unless stated otherwise, so the primary key also orders by time.
"""

from dataclasses import fields
from datetime import datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import sqlalchemy as sa
from sqlalchemy.orm import DeclarativeBase, Mapped, composite, mapped_column

from app.db.types import StorableJSON, StorableText, UtcDateTime
from app.domain.checkpoint import CheckpointKind, CheckpointStatus, PromotionCause, Role, Versions
from app.domain.iteration import IterationKind, Policy, SampleKind, Source, Stage, Status
from app.domain.key import KeyLimits
from app.domain.search import Mode, StopReason, Usage
from app.domain.tree import NodeKind

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Value = TypeVar("Value", bound=DataclassInstance)

ULID_LENGTH = 26
SHA256_LENGTH = 64


def from_row(value: "type[Value]", row: object, **given: Any) -> "Value":
    """A dataclass from the attributes of a row that have its fields' names.

    given: the fields that are not attributes of the row, or are converted.
    """
    names = [one.name for one in fields(value) if one.name not in given]
    return value(**{name: getattr(row, name) for name in names}, **given)


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


class CheckpointRow(Base):
    """One version of a role's weights; version 0 of each role is the base model.

    `path` is relative to the data folder, `digest` is the hash of the manifest there; both are
    set once the files are complete. An iteration makes at most one version of a role.
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
    """The versions of both roles that serve from `created_at` on; the newest row is in force.

    Rows are only added, so the history is kept. An iteration promotes at most once.
    """

    __tablename__ = "promotions"
    __table_args__ = (sa.UniqueConstraint("iteration_id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    actor_version: Mapped[int]
    refiner_version: Mapped[int]
    versions: Mapped[Versions] = composite("actor_version", "refiner_version")
    cause: Mapped[PromotionCause]
    iteration_id: Mapped[str | None] = mapped_column(
        StorableText(ULID_LENGTH), sa.ForeignKey("iterations.id")
    )


class ServerRow(Base):
    """What one server serves, as it last reported."""

    __tablename__ = "servers"

    id: Mapped[str] = mapped_column(StorableText(ULID_LENGTH), primary_key=True)
    url: Mapped[str]
    started_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    actor_version: Mapped[int]
    refiner_version: Mapped[int]
    versions: Mapped[Versions] = composite("actor_version", "refiner_version")
    ready: Mapped[bool]
    error: Mapped[str | None]


class EvaluationRow(Base):
    """One run of a benchmark.

    `identity` is the hash of the plan: an interrupted run is found by it. `seconds` is
    the time spent on it so far, over all its parts; `summary` has the metrics of a finished run.
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
    versions: Mapped[Versions] = composite("actor_version", "refiner_version")
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
    """The result of one row of the benchmark's file."""

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


class LeaseRow(Base):
    """The holder of a task that only one process at a time may do.

    `fence` grows with every new holder, which invalidates the earlier ones.
    """

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(StorableText(32), primary_key=True)
    owner: Mapped[str]
    fence: Mapped[int]
    expires_at: Mapped[datetime]


class IterationRow(Base):
    """One self-play iteration."""

    __tablename__ = "iterations"
    __table_args__ = (sa.UniqueConstraint("idempotency_key"),)

    id: Mapped[str] = mapped_column(StorableText(ULID_LENGTH), primary_key=True)
    kind: Mapped[IterationKind]
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
    incumbents: Mapped[Versions | None] = composite("actor_version", "refiner_version")
    report: Mapped[Any] = mapped_column(nullable=True)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class StageRow(Base):
    """One stage of an iteration and its progress."""

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
    """The result of one item of a stage, which a resumed stage does not compute again."""

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
    """One row of training data, with its origin."""

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
    versions: Mapped[Versions] = composite("actor_version", "refiner_version")


class TrainingStepRow(Base):
    """The trainer's metrics after one optimiser step: loss, reward margin, accuracy."""

    __tablename__ = "training_steps"

    iteration_id: Mapped[str] = mapped_column(
        StorableText(ULID_LENGTH),
        sa.ForeignKey("iterations.id", ondelete="CASCADE"),
        primary_key=True,
    )
    role: Mapped[Role] = mapped_column(primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    metrics: Mapped[Any]


KEY_ID_LENGTH = 16


class KeyRow(Base):
    """One API key. `digest` is the hash of its secret, which is not stored.

    Revoked keys are kept, since the audit log refers to them.
    """

    __tablename__ = "keys"

    id: Mapped[str] = mapped_column(StorableText(KEY_ID_LENGTH), primary_key=True)
    created_at: Mapped[datetime]
    name: Mapped[str] = mapped_column(StorableText(64))
    digest: Mapped[str] = mapped_column(StorableText(SHA256_LENGTH))
    scopes: Mapped[Any]
    requests_per_minute: Mapped[int | None]
    tokens_per_minute: Mapped[int | None]
    searches: Mapped[int | None]
    limits: Mapped[KeyLimits] = composite("requests_per_minute", "tokens_per_minute", "searches")
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class AuditRow(Base):
    """One admin action. `status` is the HTTP status it ended with, None until it has ended.

    Written before the action and completed after it, so that every action is recorded. Holds no
    texts of requests. `key_id` has no foreign key: the key of a single process is in no table.
    """

    __tablename__ = "audit"

    id: Mapped[str] = mapped_column(StorableText(ULID_LENGTH), primary_key=True)
    created_at: Mapped[datetime]
    who: Mapped[str]
    key_id: Mapped[str | None] = mapped_column(StorableText(KEY_ID_LENGTH))
    client: Mapped[str | None]
    action: Mapped[str]
    status: Mapped[int | None]


class PromptRow(Base):
    """One prompt of the pool. `digest` is the hash of its text, which makes it unique.

    `last_used` is the last iteration that used it.
    """

    __tablename__ = "prompts"
    __table_args__ = (
        sa.UniqueConstraint("digest"),
        sa.Index(None, "source", "last_used", "id"),
    )

    id: Mapped[str] = mapped_column(StorableText(ULID_LENGTH), primary_key=True)
    created_at: Mapped[datetime]
    source: Mapped[Source]
    digest: Mapped[str] = mapped_column(StorableText(SHA256_LENGTH))
    messages: Mapped[Any]
    prompt: Mapped[str]
    constraints: Mapped[Any]
    last_used: Mapped[str | None] = mapped_column(StorableText(ULID_LENGTH))


class ConversationRow(Base):
    """One conversation that was provided for a bootstrap."""

    __tablename__ = "conversations"
    __table_args__ = (sa.UniqueConstraint("digest"),)

    id: Mapped[str] = mapped_column(StorableText(ULID_LENGTH), primary_key=True)
    created_at: Mapped[datetime]
    role: Mapped[Role]
    digest: Mapped[str] = mapped_column(StorableText(SHA256_LENGTH))
    messages: Mapped[Any]


class FeedbackRow(Base):
    """A user's feedback on a search's answer: a rating, a better answer, or both."""

    __tablename__ = "feedback"

    id: Mapped[str] = mapped_column(StorableText(ULID_LENGTH), primary_key=True)
    created_at: Mapped[datetime]
    search_id: Mapped[str] = mapped_column(
        StorableText(ULID_LENGTH), sa.ForeignKey("searches.id", ondelete="CASCADE"), index=True
    )
    rating: Mapped[int | None]
    better: Mapped[str | None]
    comment: Mapped[str | None]
    iteration_id: Mapped[str | None] = mapped_column(
        StorableText(ULID_LENGTH), sa.ForeignKey("iterations.id")
    )


class SearchRow(Base):
    """One finished search."""

    __tablename__ = "searches"
    # One index for each filter of the list, in the order of the id.
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
    versions: Mapped[Versions] = composite("actor_version", "refiner_version")
    prompt_tokens: Mapped[int]
    completion_tokens: Mapped[int]
    responses: Mapped[int]
    refinements: Mapped[int]
    judgments: Mapped[int]
    votes: Mapped[int]
    nodes: Mapped[int]
    usage: Mapped[Usage] = composite(
        "prompt_tokens",
        "completion_tokens",
        "responses",
        "refinements",
        "judgments",
        "votes",
        "nodes",
    )
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
    quick_verdict: Mapped[float | None]
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

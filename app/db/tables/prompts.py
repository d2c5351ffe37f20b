"""What self-play learns from: prompts, conversations and feedback."""

from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import SHA256_LENGTH, ULID_LENGTH, Base
from app.db.types import StorableText
from app.domain.checkpoint import Role
from app.domain.iteration import Source


class PromptRow(Base):
    """One prompt to play on. `digest` is the hash of its text, so none is kept twice.

    `last_used` is the iteration that played on it last.
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
    """One conversation that people provided for a bootstrap."""

    __tablename__ = "conversations"
    __table_args__ = (sa.UniqueConstraint("digest"),)

    id: Mapped[str] = mapped_column(StorableText(ULID_LENGTH), primary_key=True)
    created_at: Mapped[datetime]
    role: Mapped[Role]
    digest: Mapped[str] = mapped_column(StorableText(SHA256_LENGTH))
    messages: Mapped[Any]


class FeedbackRow(Base):
    """What a person said of a search's answer: a rating, a better answer, or both."""

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

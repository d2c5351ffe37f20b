"""API keys, and who did what with the admin door."""

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from app.db.tables.base import SHA256_LENGTH, ULID_LENGTH, Base
from app.db.types import StorableText

KEY_ID_LENGTH = 16


class KeyRow(Base):
    """One API key. `digest` is the hash of its secret, which is not kept.

    A revoked key stays, so that the audit can be read.
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
    used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class AuditRow(Base):
    """One admin action. `status` is the HTTP status it ended with, None until it has ended.

    Written before the action and completed after it, so none goes unrecorded. Holds no texts of
    requests. `key_id` refers to no row by a constraint: a key of one process may be in no table.
    """

    __tablename__ = "audit"

    id: Mapped[str] = mapped_column(StorableText(ULID_LENGTH), primary_key=True)
    created_at: Mapped[datetime]
    who: Mapped[str]
    key_id: Mapped[str | None] = mapped_column(StorableText(KEY_ID_LENGTH))
    client: Mapped[str | None]
    action: Mapped[str]
    status: Mapped[int | None]

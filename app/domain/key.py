"""API keys: scopes and limits."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a key permits. `admin` includes all others."""

    GENERATE = "generate"
    JUDGE = "judge"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """Limits of one key in one server process; None means no limit.

    searches: concurrent searches, judgments and chat completions.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    searches: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is stored: `digest` is the hash of its secret, which is not stored."""

    id: str
    name: str
    scopes: frozenset[Scope]
    digest: str = field(repr=False)
    limits: KeyLimits = KeyLimits()
    created_at: datetime | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None

    def may(self, wanted: frozenset[Scope]) -> bool:
        """Whether the key has one of the wanted scopes."""
        return Scope.ADMIN in self.scopes or not wanted.isdisjoint(self.scopes)

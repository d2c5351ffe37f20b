"""Keys: who may ask a server for what, and how much of it."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a key is for. `admin` may do everything."""

    GENERATE = "generate"
    JUDGE = "judge"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class KeyLimits:
    """What one key may use of one server process; None means no limit.

    searches: searches, judgments and chat completions at the same time.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    searches: int | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is stored: `digest` is the hash of its secret, which nobody keeps."""

    id: str
    name: str
    scopes: frozenset[Scope]
    digest: str = field(repr=False)
    limits: KeyLimits = KeyLimits()
    created_at: datetime | None = None
    used_at: datetime | None = None
    revoked_at: datetime | None = None

    def may(self, wanted: frozenset[Scope]) -> bool:
        """Whether one of the wanted scopes is among the key's."""
        return Scope.ADMIN in self.scopes or not wanted.isdisjoint(self.scopes)

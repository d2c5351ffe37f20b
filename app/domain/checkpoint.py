"""Versions of the two roles' weights, and the names they are served under."""

from dataclasses import dataclass, replace
from enum import StrEnum


class Role(StrEnum):
    """The two served models: one answers, the other judges and rewrites."""

    ACTOR = "actor"
    REFINER = "refiner"


class CheckpointKind(StrEnum):
    """What a checkpoint consists of: the base model, an adapter, or full weights."""

    BASE = "base"
    LORA = "lora"
    FULL = "full"


class CheckpointStatus(StrEnum):
    """State of a checkpoint: in training, being evaluated, then rejected or promoted."""

    TRAINING = "training"
    CANDIDATE = "candidate"
    REJECTED = "rejected"
    PROMOTED = "promoted"


class PromotionCause(StrEnum):
    """Why the served versions changed: an iteration's gate, an administrator, or a rollback."""

    ITERATION = "iteration"
    PROMOTE = "promote"
    ROLLBACK = "rollback"


@dataclass(frozen=True, slots=True)
class Versions:
    """The checkpoint version of each role that a request is pinned to; 0 is the base model."""

    actor: int = 0
    refiner: int = 0

    def of(self, role: Role) -> int:
        """The version of this role."""
        return self.actor if role is Role.ACTOR else self.refiner

    def with_version(self, role: Role, version: int) -> "Versions":
        """A copy with another version of this role."""
        if role is Role.ACTOR:
            return replace(self, actor=version)
        return replace(self, refiner=version)

    def served_name(self, role: Role) -> str:
        """The name this role's version is served under."""
        return served_name(role, self.of(role))


def served_name(role: Role, version: int) -> str:
    """The name of one version of one role, such as `actor@12`."""
    return f"{role}@{version}"


def parse_served_name(name: str) -> tuple[Role, int] | None:
    """Role and version of a name such as `actor@12`, or None for any other text."""
    role, at, version = name.partition("@")
    # No more digits than a database's integer holds; no other digits than ASCII ones.
    if role not in list(Role) or not at or not version.isascii() or not version.isdigit():
        return None
    return (Role(role), int(version)) if len(version) < 10 else None

"""Versions of the two roles' weights, and the names they are served under."""

from dataclasses import dataclass
from enum import StrEnum


class Role(StrEnum):
    """The two served models: one answers, the other judges and rewrites."""

    ACTOR = "actor"
    REFINER = "refiner"


@dataclass(frozen=True, slots=True)
class Versions:
    """The checkpoint version of each role that a request is pinned to; 0 is the base model."""

    actor: int = 0
    refiner: int = 0


def served_name(role: Role, version: int) -> str:
    """The name of one version of one role, such as `actor@12`."""
    return f"{role}@{version}"

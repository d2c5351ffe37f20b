"""What a search may spend, what it has spent, and why it ended."""

from dataclasses import dataclass
from enum import StrEnum


class StopReason(StrEnum):
    """How a search ended."""

    ACCEPTED = "accepted"
    EXHAUSTED = "exhausted"
    MAX_NODES = "max_nodes"
    MAX_TOKENS = "max_tokens"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one search; None means no limit of that kind.

    `max_nodes` counts responses and refinements, `max_tokens` counts generated tokens of every
    model call, `deadline_ms` is milliseconds from the arrival of the request.
    """

    max_nodes: int | None = None
    max_tokens: int | None = None
    deadline_ms: int | None = None


@dataclass(slots=True)
class Usage:
    """Running totals of one search, cancelled calls included."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    responses: int = 0
    refinements: int = 0
    judgments: int = 0
    votes: int = 0
    nodes: int = 0

"""A search as it comes back from the database."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from app.domain.budget import StopReason, Usage
from app.domain.checkpoint import Versions
from app.domain.judgment import ConstraintResult
from app.domain.options import Mode
from app.domain.prompt import Constraint, Message
from app.domain.tree import Node


@dataclass(frozen=True, slots=True)
class StoredSummary:
    """One search without its tree.

    `prompt` is the instruction; `response`, `accepted` and `value` are the best node's (an empty
    text and None when there is no such node, or no judgment of it). `timing_ms` is the duration
    in milliseconds.
    """

    id: str
    created_at: datetime
    mode: Mode
    prompt: str
    response: str
    accepted: bool | None
    value: float | None
    stop_reason: StopReason
    versions: Versions
    usage: Usage
    timing_ms: float


@dataclass(frozen=True, slots=True)
class StoredSearch(StoredSummary):
    """One search with its whole tree.

    `constraints` is what was asked, `results` what the checkers said of the best node;
    `options` has the keys `search`, `budget` and `sampling`, as they were asked for.
    `nodes` starts with the root and is ordered by id.
    """

    messages: tuple[Message, ...]
    constraints: tuple[Constraint, ...]
    options: Mapping[str, Any]
    critique: str | None
    results: tuple[ConstraintResult, ...]
    best_node: int | None
    nodes: tuple[Node, ...]

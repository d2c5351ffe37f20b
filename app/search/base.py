"""Interface of a search: request, result, events, phases."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum

from app.domain.checkpoint import Versions
from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.domain.search import Budget, Mode, Sampling, SearchOptions, StopReason, Usage
from app.domain.tree import PROMPT, Node, Tree


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search to run.

    sampling: for responses and rewrites.
    started: `time.monotonic()` at the request's arrival; `budget.deadline_ms` counts from it.
    stream: report the text of a greedy response while it is generated.
    root: the prompt, or a response to repair (`given_response`). A response without a judgment is
        judged first; with early stop it is the answer if it is accepted.
    """

    id: str
    mode: Mode
    prompt: Prompt
    options: SearchOptions
    budget: Budget
    sampling: Sampling
    started: float
    versions: Versions = Versions()
    priority: int = 0
    stream: bool = False
    root: Node = PROMPT


@dataclass(slots=True)
class SearchResult:
    """A finished search. `best` is None when nothing was generated in time."""

    request: SearchRequest
    tree: Tree
    best: Node | None
    stop_reason: StopReason
    usage: Usage
    timing_ms: float


@dataclass(frozen=True, slots=True)
class NodeCreated:
    """A response or refinement exists."""

    node: Node


@dataclass(frozen=True, slots=True)
class NodeJudged:
    """A node has its judgment."""

    node: Node
    judgment: Judgment


@dataclass(frozen=True, slots=True)
class NodeAccepted:
    """A node was accepted and ends the search."""

    node: Node


@dataclass(frozen=True, slots=True)
class TextDelta:
    """More text of the only response of a greedy search."""

    text: str


SearchEvent = NodeCreated | NodeJudged | NodeAccepted | TextDelta
OnEvent = Callable[[SearchEvent], None]


def ignore_event(_: SearchEvent) -> None:
    """Ignores the event: for callers that only want the result."""


class Phase(StrEnum):
    """What takes time for a node: everything together (`NODE`), or one of its parts."""

    NODE = "node"
    RESPOND = "respond"
    REFINE = "refine"
    JUDGE = "judge"


OnPhase = Callable[[Phase, int], AbstractContextManager[None]]
"""Called with a phase and its node's id; the context it returns is open during the phase."""


def ignore_phase(_phase: Phase, _node_id: int) -> AbstractContextManager[None]:
    """Ignores the phase: for callers that measure nothing."""
    return nullcontext()

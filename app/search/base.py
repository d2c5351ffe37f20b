"""What an algorithm is, and what goes into and comes out of a search."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from app.domain.budget import Budget, StopReason, Usage
from app.domain.judgment import Judgment
from app.domain.options import Mode, SearchOptions
from app.domain.prompt import Prompt
from app.domain.sampling import Sampling
from app.domain.tree import Node, Tree


class Algorithm(Protocol):
    """A search algorithm: pure, stateless, and ignorant of models, I/O and time."""

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The nodes to expand next, one entry per child wanted; an empty list ends the search.

        Called only when every node of the previous selection exists and is judged.
        """
        ...


@dataclass(frozen=True, slots=True)
class Versions:
    """The checkpoint version of each role a search is pinned to."""

    actor: int = 0
    refiner: int = 0


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search to run. `sampling` is for the responses; `judged` false skips the judge."""

    id: str
    mode: Mode
    prompt: Prompt
    options: SearchOptions
    budget: Budget
    sampling: Sampling
    versions: Versions = Versions()
    priority: int = 0


@dataclass(slots=True)
class SearchResult:
    """A finished search. `best` is None when nothing was generated in time."""

    request: SearchRequest
    tree: Tree
    best: Node | None
    stop_reason: StopReason
    usage: Usage
    timing_ms: float
    notes: list[str] = field(default_factory=list)


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
    """For callers that only want the result."""

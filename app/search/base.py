"""What an algorithm is, and what goes into and comes out of a search."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.domain.checkpoint import Versions
from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.domain.search import Budget, Mode, Sampling, SearchOptions, StopReason, Usage
from app.domain.tree import PROMPT, Node, Tree


class Algorithm(Protocol):
    """A search algorithm: pure, stateless, and ignorant of models, I/O and time."""

    @property
    def first_accepted_wins(self) -> bool:
        """Whether the first accepted node ends the search; if not, the best of all is wanted."""
        ...

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The nodes to expand next, one entry per child wanted; an empty list ends the search.

        Called only when every node of the previous selection exists and is judged.
        """
        ...


def within(budget: Budget, tree: Tree, wanted: list[Node]) -> list[Node]:
    """As many of the wanted expansions as `max_nodes` still allows."""
    if budget.max_nodes is None:
        return wanted
    return wanted[: max(0, budget.max_nodes - len(tree.responses))]


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """One search to run.

    `sampling` is for the responses and rewrites; `started` is the `time.monotonic` moment of
    the request's arrival, from which `budget.deadline_ms` counts; `stream` asks for the text of
    a greedy response as it is generated. `root` is where the search begins: the prompt, or a
    response to repair (`given_response`). One that nobody has judged yet is judged first, and with
    early stop it is the answer where it is accepted.
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
    """For callers that only want the result."""


class Phase(StrEnum):
    """What is done for a node: all of it, or one of its model's parts."""

    NODE = "node"
    RESPOND = "respond"
    REFINE = "refine"
    JUDGE = "judge"


OnPhase = Callable[[Phase, int], AbstractContextManager[None]]
"""Called with a phase and its node's id; the block it opens lasts as long as the phase."""


def ignore_phase(_phase: Phase, _node_id: int) -> AbstractContextManager[None]:
    """For callers who do not care what takes how long."""
    return nullcontext()

"""The search tree: the root is the prompt, every other node is a response to it.

A search that repairs a given response has that response for its root.

A `Tree` only grows. Nodes are frozen; judging a node replaces it by a judged copy.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum

from app.domain.judgment import Judgment

ROOT_ID = 0


class NodeKind(StrEnum):
    """What a node holds: the prompt, the actor's response, or the refiner's rewrite of one."""

    PROMPT = "prompt"
    RESPONSE = "response"
    REFINEMENT = "refinement"


@dataclass(frozen=True, slots=True)
class Node:
    """One node. `id` orders nodes by creation request, `depth` is 0 for the root.

    `partial` marks a text that a budget or deadline cut off.
    """

    id: int
    parent: int | None
    depth: int
    kind: NodeKind
    text: str
    judgment: Judgment | None = None
    partial: bool = False
    completion_tokens: int = 0
    created_ms: float = 0.0

    @property
    def rank(self) -> tuple[bool, float, float, int]:
        """Sort key, higher is better.

        Accepted first, then the share of constraints met, then the value, then the earlier
        node. An unjudged node ranks below every judged one.
        """
        if self.judgment is None:
            return (False, -1.0, -1.0, -self.id)
        value = self.judgment.value
        return (
            self.judgment.accepted,
            self.judgment.satisfied,
            -1.0 if value is None else value,
            -self.id,
        )

    @property
    def expandable(self) -> bool:
        """The prompt, or a judged response: a rewrite starts from what the judgment found."""
        return self.kind is NodeKind.PROMPT or self.judgment is not None

    @property
    def accepted(self) -> bool:
        """Judged, and accepted."""
        return self.judgment is not None and self.judgment.accepted


PROMPT = Node(id=ROOT_ID, parent=None, depth=0, kind=NodeKind.PROMPT, text="")
"""The root of a search that begins with the prompt."""


def given_response(text: str, judgment: Judgment | None = None) -> Node:
    """The root of a search that repairs this response; without a judgment it is judged first."""
    return replace(PROMPT, kind=NodeKind.RESPONSE, text=text, judgment=judgment)


class Tree:
    """All nodes of one search."""

    def __init__(self, root: Node = PROMPT) -> None:
        self._nodes: dict[int, Node] = {ROOT_ID: root}
        self._reserved = ROOT_ID

    def reserve(self) -> int:
        """Take the next node id, so that ids follow selection order and not completion order."""
        self._reserved += 1
        return self._reserved

    def add(
        self,
        node_id: int,
        parent: Node,
        text: str,
        *,
        partial: bool = False,
        completion_tokens: int = 0,
        created_ms: float = 0.0,
    ) -> Node:
        """Attach a new response under `parent` with an id from `reserve`, and return it."""
        kind = NodeKind.RESPONSE if parent.kind is NodeKind.PROMPT else NodeKind.REFINEMENT
        node = Node(
            id=node_id,
            parent=parent.id,
            depth=parent.depth + 1,
            kind=kind,
            text=text,
            partial=partial,
            completion_tokens=completion_tokens,
            created_ms=created_ms,
        )
        self._nodes[node_id] = node
        return node

    def judge(self, node_id: int, judgment: Judgment) -> Node:
        """Record the judgment of a node and return the judged node."""
        node = replace(self._nodes[node_id], judgment=judgment)
        self._nodes[node_id] = node
        return node

    def __getitem__(self, node_id: int) -> Node:
        return self._nodes[node_id]

    def __iter__(self) -> Iterator[Node]:
        """All nodes, the root included, by id."""
        return iter([self._nodes[node_id] for node_id in sorted(self._nodes)])

    @property
    def root(self) -> Node:
        """The node of the prompt, or of the response to repair."""
        return self._nodes[ROOT_ID]

    @property
    def responses(self) -> list[Node]:
        """Every node but the root, by id."""
        return [node for node in self if node.id != ROOT_ID]

    @property
    def newest(self) -> Node:
        """The node with the highest id; the root of an empty tree."""
        return self._nodes[max(self._nodes)]

    def children(self, node: Node) -> list[Node]:
        """The direct children of a node, by id."""
        return [child for child in self if child.parent == node.id]

    def best(self) -> Node | None:
        """The highest ranked response, a given one included; None when there is none yet."""
        responses = [node for node in self if node.kind is not NodeKind.PROMPT]
        return max(responses, key=lambda node: node.rank, default=None)

"""Growing a tree by an algorithm, without models: judgments and failures come from the test."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from hypothesis import strategies as st

from app.domain.judgment import Judgment
from app.domain.search import Budget
from app.domain.tree import Node, Tree
from app.search.algorithms import Algorithm
from tests.helpers.judgments import judgments

Fate = Judgment | Literal["lost", "unjudged"]
"""Outcome of a child: judged, not generated, or generated but not judged."""

ENOUGH_STEPS = 1000

_accidents: st.SearchStrategy[Fate] = st.sampled_from(["lost", "unjudged"])
fates: st.SearchStrategy[Fate] = st.one_of(judgments, judgments, _accidents)


@dataclass
class Growth:
    """A tree and the selections that made it."""

    tree: Tree = field(default_factory=Tree)
    selections: list[list[Node]] = field(default_factory=list)

    @property
    def expanded(self) -> list[int]:
        """The ids of the nodes expanded, in order, each once per step."""
        return [
            node_id
            for selected in self.selections
            for node_id in dict.fromkeys(node.id for node in selected)
        ]


def grow(algorithm: Algorithm, fate: Callable[[], Fate]) -> Growth:
    """Expand the algorithm's selections until it stops, or a step yields nothing."""
    growth = Growth()
    for _ in range(ENOUGH_STEPS):
        selected = algorithm.select(growth.tree, Budget())
        if not selected:
            return growth
        growth.selections.append(selected)
        judged = [_expand(growth.tree, node, fate()) for node in selected]
        if not any(judged):
            return growth
    raise AssertionError(f"{algorithm} does not terminate")


def _expand(tree: Tree, parent: Node, fate: Fate) -> bool:
    """Whether the expansion yielded a judged child."""
    node_id = tree.reserve()
    if fate == "lost":
        return False
    tree.add(node_id, parent, f"text {node_id}")
    if isinstance(fate, Judgment):
        tree.judge(node_id, fate)
    return isinstance(fate, Judgment)

"""The search algorithms: pure functions of the tree, without models, I/O or time.

A new mode is a name in `app.domain.search.Mode` and a subclass of `Algorithm` with that `mode`.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from app.domain.search import Budget, Mode, SearchOptions
from app.domain.tree import Node, Tree


@dataclass(frozen=True)
class Algorithm(ABC):
    """A search algorithm; the tree holds all state.

    refines: it rewrites responses, so the request to rewrite must fit the model's context.
    compares_values: the highest value wins, so every vote counts and an accepted node does not end
        the search. Otherwise the first accepted node wins.
    always_judged: responses to prompts without constraints are judged too. Otherwise the first
        response is the answer as it is, and can be streamed.
    """

    mode: ClassVar[Mode]
    refines: ClassVar[bool] = True
    compares_values: ClassVar[bool] = False
    always_judged: ClassVar[bool] = True

    options: SearchOptions

    def __init_subclass__(cls) -> None:
        ALGORITHMS[cls.mode] = cls

    @abstractmethod
    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The nodes to expand next, one entry per wanted child, the most promising first.

        Called once per step, when every node of the previous step exists and is judged or has
        failed. An empty list ends the search. The driver leaves out what exceeds
        `budget.max_nodes`, so an algorithm needs the budget only to plan ahead.
        """


ALGORITHMS: dict[Mode, type[Algorithm]] = {}
"""The algorithm of each mode. Defining a subclass of `Algorithm` adds it."""


class Greedy(Algorithm):
    """The root once."""

    mode = Mode.GREEDY
    refines = False
    always_judged = False

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The root, unless it has been answered."""
        return [] if tree.responses else [tree.root]


class BestOfN(Algorithm):
    """The root `n` times."""

    mode = Mode.BEST_OF_N
    refines = False
    compares_values = True

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The root, as often as responses are missing."""
        return [tree.root] * (self.options.n - len(tree.responses))


class Iterative(Algorithm):
    """The root, then always the newest leaf, down to `depth`."""

    mode = Mode.ITERATIVE

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The newest node, unless it is at full depth."""
        newest = tree.newest
        return [newest] if newest.depth < self.options.depth else []


class BreadthFirst(Algorithm):
    """The best `beam` nodes of the deepest level, `branch` children each, down to `depth`."""

    mode = Mode.BFS

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The beam of the deepest level, the best node first."""
        deepest = max(node.depth for node in tree)
        if deepest >= self.options.depth:
            return []
        level = [node for node in tree if node.depth == deepest and node.expandable]
        beam = sorted(level, key=lambda node: node.rank, reverse=True)[: self.options.beam]
        return [node for node in beam for _ in range(self.options.branch)]


class DepthFirst(Algorithm):
    """The best unexpanded child of the current node, else backtrack; `branch` children each."""

    mode = Mode.DFS

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The next node on the way down, found by climbing from the node expanded last."""
        if not tree.responses:
            return [tree.root] * self.options.branch
        current = tree.newest.parent
        while current is not None:
            unexpanded = [
                child
                for child in tree.children(tree[current])
                if child.depth < self.options.depth
                and child.expandable
                and not tree.children(child)
            ]
            if unexpanded:
                return [max(unexpanded, key=lambda node: node.rank)] * self.options.branch
            current = tree[current].parent
        return []

"""Breadth-first tree search with a beam."""

from dataclasses import dataclass

from app.domain.budget import Budget
from app.domain.tree import Node, Tree
from app.search.base import within


@dataclass(frozen=True, slots=True)
class BreadthFirst:
    """The best `beam` nodes of the deepest level, `branch` children each, down to `depth`."""

    branch: int
    beam: int
    depth: int
    first_accepted_wins = True

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The beam of the deepest level; better nodes come first when the budget is short."""
        deepest = max(node.depth for node in tree)
        if deepest >= self.depth:
            return []
        level = [node for node in tree if node.depth == deepest and node.expandable]
        beam = sorted(level, key=lambda node: node.rank, reverse=True)[: self.beam]
        return within(budget, tree, [node for node in beam for _ in range(self.branch)])

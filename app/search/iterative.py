"""Iterative refinement: one response, rewritten until it is accepted."""

from dataclasses import dataclass

from app.domain.budget import Budget
from app.domain.tree import Node, Tree
from app.search.base import within


@dataclass(frozen=True, slots=True)
class Iterative:
    """The root, then always the newest leaf, down to `depth`."""

    depth: int
    first_accepted_wins = True

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The newest node, unless it is at full depth."""
        newest = tree.newest
        return within(budget, tree, [newest] if newest.depth < self.depth else [])

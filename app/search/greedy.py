"""Greedy decoding: one response."""

from app.domain.budget import Budget
from app.domain.tree import Node, Tree
from app.search.base import within


class Greedy:
    """The root once."""

    first_accepted_wins = False

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The root, unless it has been answered."""
        return within(budget, tree, [] if tree.responses else [tree.root])

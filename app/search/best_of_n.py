"""Best-of-N: independent responses, the best one wins."""

from dataclasses import dataclass

from app.domain.budget import Budget
from app.domain.tree import Node, Tree
from app.search.base import within


@dataclass(frozen=True, slots=True)
class BestOfN:
    """The root `n` times."""

    n: int
    first_accepted_wins = False

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The root, as often as responses are missing."""
        return within(budget, tree, [tree.root] * (self.n - len(tree.responses)))

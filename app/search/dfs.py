"""Depth-first tree search."""

from dataclasses import dataclass

from app.domain.budget import Budget
from app.domain.tree import Node, Tree
from app.search.base import within


@dataclass(frozen=True, slots=True)
class DepthFirst:
    """The best unexpanded child of the current node, else backtrack; `branch` children each."""

    branch: int
    depth: int
    first_accepted_wins = True

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The next node on the way down, found by climbing from the node expanded last."""
        if not tree.responses:
            return within(budget, tree, [tree.root] * self.branch)
        current = tree.newest.parent
        while current is not None:
            open_children = [
                child
                for child in tree.children(tree[current])
                if child.depth < self.depth and child.expandable and not tree.children(child)
            ]
            if open_children:
                best = max(open_children, key=lambda node: node.rank)
                return within(budget, tree, [best] * self.branch)
            current = tree[current].parent
        return []

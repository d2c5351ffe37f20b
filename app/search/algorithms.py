"""Which algorithm a mode names."""

from dataclasses import dataclass

from app.domain.search import Budget, Mode, SearchOptions
from app.domain.tree import Node, Tree
from app.search.base import Algorithm, within


class Greedy:
    """The root once."""

    first_accepted_wins = False

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The root, unless it has been answered."""
        return within(budget, tree, [] if tree.responses else [tree.root])


@dataclass(frozen=True, slots=True)
class BestOfN:
    """The root `n` times."""

    n: int
    first_accepted_wins = False

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The root, as often as responses are missing."""
        return within(budget, tree, [tree.root] * (self.n - len(tree.responses)))


@dataclass(frozen=True, slots=True)
class Iterative:
    """The root, then always the newest leaf, down to `depth`."""

    depth: int
    first_accepted_wins = True

    def select(self, tree: Tree, budget: Budget) -> list[Node]:
        """The newest node, unless it is at full depth."""
        newest = tree.newest
        return within(budget, tree, [newest] if newest.depth < self.depth else [])


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


def algorithm_for(mode: Mode, options: SearchOptions) -> Algorithm:
    """The algorithm of a mode, shaped by the options it uses."""
    match mode:
        case Mode.GREEDY:
            return Greedy()
        case Mode.BEST_OF_N:
            return BestOfN(options.n)
        case Mode.ITERATIVE:
            return Iterative(options.depth)
        case Mode.BFS:
            return BreadthFirst(options.branch, options.beam, options.depth)
        case Mode.DFS:
            return DepthFirst(options.branch, options.depth)

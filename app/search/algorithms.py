"""Which algorithm a mode names."""

from app.domain.options import Mode, SearchOptions
from app.search.base import Algorithm
from app.search.best_of_n import BestOfN
from app.search.bfs import BreadthFirst
from app.search.dfs import DepthFirst
from app.search.greedy import Greedy
from app.search.iterative import Iterative


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

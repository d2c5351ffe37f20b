"""The shape of a search: which algorithm, how wide, how deep, how strictly judged."""

from dataclasses import dataclass
from enum import StrEnum


class Mode(StrEnum):
    """The search algorithms."""

    GREEDY = "greedy"
    BEST_OF_N = "best_of_n"
    ITERATIVE = "iterative"
    BFS = "bfs"
    DFS = "dfs"


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Shape of the tree and strictness of the judge.

    Defaults of branch, beam, depth, votes and gate are SPaR's (arXiv 2412.11605).
    `depth` counts levels below the prompt, so depth 1 is responses only. `early_stop` ends
    the search at the first accepted node and a judgment once its outcome is decided.
    """

    n: int = 5
    branch: int = 3
    beam: int = 2
    depth: int = 3
    votes: int = 5
    gate: float = 0.5
    early_stop: bool = True

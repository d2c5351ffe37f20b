"""Inputs and outcome of a search: mode, options, budget, sampling, seeds, usage, stop reason."""

from dataclasses import dataclass
from enum import StrEnum
from hashlib import blake2b


class StopReason(StrEnum):
    """How a search ended."""

    ACCEPTED = "accepted"
    EXHAUSTED = "exhausted"
    MAX_NODES = "max_nodes"
    MAX_TOKENS = "max_tokens"
    DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one search; None means no limit of that kind.

    `max_nodes` counts responses and refinements, `max_tokens` counts generated tokens of every
    model call, `deadline_ms` is milliseconds from the arrival of the request.
    """

    max_nodes: int | None = None
    max_tokens: int | None = None
    deadline_ms: int | None = None


@dataclass(slots=True)
class Usage:
    """Running totals of one search, cancelled calls included."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    responses: int = 0
    refinements: int = 0
    judgments: int = 0
    votes: int = 0
    nodes: int = 0


class Mode(StrEnum):
    """The search algorithms."""

    GREEDY = "greedy"
    BEST_OF_N = "best_of_n"
    ITERATIVE = "iterative"
    BFS = "bfs"
    DFS = "dfs"


@dataclass(frozen=True, slots=True)
class QuickVerdictRule:
    """When P(yes), read before any critique is written, decides without votes.

    low, high: a probability below `low` is a clear no, one of `high` or more a clear yes (0..1);
        between them the votes decide. Both depend on the model and on the accept threshold, and
        0.5 need not lie between them; `python -m benchmarks decisions` measures them.
    critiques: write a critique before rewriting a response that only a program rejected; without
        it, the program's message is the critique.

    Raises:
        ValueError: unless 0 <= low <= high <= 1.
    """

    low: float = 0.1
    high: float = 0.9
    critiques: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.low <= self.high <= 1:
            raise ValueError(f"0 <= {self.low} <= {self.high} <= 1 does not hold")

    def verdict(self, probability: float) -> bool | None:
        """The verdict for this P(yes); None: the votes decide."""
        if probability < self.low:
            return False
        return True if probability >= self.high else None


@dataclass(frozen=True, slots=True)
class SearchOptions:
    """Shape of the tree and strictness of the judge.

    The defaults are SPaR's (arXiv 2412.11605), but for `n`, `early_stop` and `quick_verdict`.

    n: responses of best-of-N.
    branch: children of an expanded node.
    beam: nodes of a level that breadth-first search expands.
    depth: levels below the prompt, so depth 1 is responses only.
    votes, accept_threshold, ties: see `app.roles.judge.JudgeOptions`.
    early_stop: end the search at the first accepted node, and a judgment once it is decided.
    quick_verdict: skip votes where a program or one token decides; best-of-N, which compares
        values, does not use it.
    """

    n: int = 5
    branch: int = 3
    beam: int = 2
    depth: int = 3
    votes: int = 5
    accept_threshold: float = 0.5
    early_stop: bool = True
    quick_verdict: QuickVerdictRule | None = None
    ties: int = 3


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters of one model call.

    temperature 0 is greedy decoding; `max_tokens` counts generated tokens; `stop` strings end
    the text and are not part of it; a `seed` makes the draw reproducible.
    """

    temperature: float
    top_p: float
    max_tokens: int
    seed: int | None = None
    stop: tuple[str, ...] = ()


def derive_seed(seed: int | None, *path: int | str) -> int | None:
    """A seed for one draw inside a search, independent of how many other draws there are.

    The same `seed` and `path` (for example a node's id and the word "vote") always give the
    same result; no seed gives no seed. The result fits a signed 64-bit integer.
    """
    if seed is None:
        return None
    digest = blake2b(repr((seed, *path)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1

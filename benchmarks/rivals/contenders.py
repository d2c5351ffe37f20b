"""Who competes: how each is started, what it is asked to do, and how many tokens that takes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_CLIENTS = "benchmarks.rivals.clients"

VOTES = 5
BEST_OF = 8
WHOLE_TREE = {"branch": 3, "beam": 2, "depth": 3, "votes": VOTES}
WHOLE_TREE_NODES = 3 + 2 * 3 + 2 * 3
SMALL_TREE = {"branch": 3, "beam": 1, "depth": 2, "votes": VOTES}
SMALL_TREE_NODES = 3 + 3
MCTS_RESPONSES, MCTS_JUDGMENTS = 20, 2
"""Of optillm's defaults: 2 simulations, each with 2 x 3 actions, 4 guesses at the next question
and 1 evaluation."""


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to answer.

    module: its process. peer: the environment it needs; None for ours. responses, judgments:
    texts of either length that one forced answer takes.
    """

    name: str
    module: str
    options: Mapping[str, Any] = field(default_factory=dict)
    peer: str | None = None
    responses: int = 0
    judgments: int = 0

    def tokens(self, response_tokens: int, judgment_tokens: int) -> int:
        """Tokens of one forced answer, verdicts left out."""
        return self.responses * response_tokens + self.judgments * judgment_tokens


def _ours(name: str, mode: str, responses: int, judgments: int, **search: Any) -> Contender:
    options = {"mode": mode, "search": search}
    return Contender(
        name, f"{_CLIENTS}.generate", options, responses=responses, judgments=judgments
    )


def _free(name: str, mode: str, *, constraints: bool, **search: Any) -> Contender:
    options = {"mode": mode, "search": search, "constraints": constraints}
    return Contender(name, f"{_CLIENTS}.generate", options)


OUR_TREE = _ours(
    "/generate",
    "bfs",
    WHOLE_TREE_NODES,
    WHOLE_TREE_NODES * VOTES,
    early_stop=False,
    **WHOLE_TREE,
)
SEQUENTIAL = Contender(
    "sequential",
    f"{_CLIENTS}.sequential",
    responses=WHOLE_TREE_NODES,
    judgments=WHOLE_TREE_NODES * VOTES,
)
OUR_BEST = _ours("/generate", "best_of_n", BEST_OF, BEST_OF, n=BEST_OF, votes=1, early_stop=False)
ITS_HUB = Contender("its-hub", f"{_CLIENTS}.its_hub", {"n": BEST_OF}, "its-hub", BEST_OF, BEST_OF)
OPTILLM = Contender(
    "optillm bon",
    f"{_CLIENTS}.optillm",
    {"approach": "bon", "n": BEST_OF},
    "optillm",
    BEST_OF,
    BEST_OF,
)
OUR_SMALL_TREE = _ours(
    "/generate",
    "bfs",
    SMALL_TREE_NODES,
    SMALL_TREE_NODES * VOTES,
    early_stop=False,
    **SMALL_TREE,
)
MCTS = Contender(
    "optillm mcts",
    f"{_CLIENTS}.optillm",
    {"approach": "mcts"},
    "optillm",
    MCTS_RESPONSES,
    MCTS_JUDGMENTS,
)
FREE = (
    _free("/generate", "bfs", constraints=True, **WHOLE_TREE),
    _free("/generate, quick verdict", "bfs", constraints=True, quick_verdict=True, **WHOLE_TREE),
    _free("/generate, judge only", "bfs", constraints=False, **WHOLE_TREE),
    _free("one greedy answer", "greedy", constraints=False),
    SEQUENTIAL,
    ITS_HUB,
    OPTILLM,
)
"""For free searches; only the first two are told the constraints, which the others cannot use."""

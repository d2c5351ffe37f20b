"""The sections of `python -m benchmarks rivals`."""

from enum import StrEnum

from benchmarks.context import Section
from benchmarks.rivals.accepted import Accepted
from benchmarks.rivals.contenders import (
    ITS_HUB,
    MCTS,
    OPTILLM,
    OUR_BEST,
    OUR_SMALL_TREE,
    OUR_TREE,
    SEQUENTIAL,
)
from benchmarks.rivals.forced import Forced


class Part(StrEnum):
    """What can be measured by itself."""

    TREE = "tree"
    BEST_OF = "best_of"
    MCTS = "mcts"
    ACCEPTED = "accepted"


PARTS: dict[Part, tuple[str, Section]] = {
    Part.TREE: (
        "A whole tree of 15 nodes and 75 votes, forced",
        Forced(OUR_TREE, [SEQUENTIAL], {1: 3.0}),
    ),
    Part.BEST_OF: (
        "The best of 8 judged answers, forced",
        Forced(OUR_BEST, [ITS_HUB, OPTILLM], {1: 1.0, 32: 1.0}),
    ),
    Part.MCTS: (
        "A small tree, and optillm's tree search with as many tokens, forced",
        Forced(OUR_SMALL_TREE, [MCTS]),
    ),
    Part.ACCEPTED: ("Answers to requirements that a program checks, free", Accepted()),
}

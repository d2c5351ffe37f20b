"""The server's names in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.budget import StopReason
from app.domain.options import Mode


@dataclass(frozen=True, slots=True)
class ModeWords:
    """A search mode: its title, and what it does in one sentence."""

    title: str
    explanation: str


MODES: Mapping[Mode, ModeWords] = {
    Mode.BFS: ModeWords(
        "Breadth-first tree search",
        "Several responses; the best of each level are rewritten into the next.",
    ),
    Mode.DFS: ModeWords(
        "Depth-first tree search",
        "Rewrites the best response further and further, and steps back when that leads nowhere.",
    ),
    Mode.BEST_OF_N: ModeWords("Best of N", "Several responses at once; the best judged one wins."),
    Mode.ITERATIVE: ModeWords(
        "Iterative refinement", "One response, judged and rewritten until it is accepted."
    ),
    Mode.GREEDY: ModeWords("Greedy", "One response, the likeliest words; nobody judges it."),
}
"""Every mode, in the order in which it is offered."""

STOP_REASONS: Mapping[StopReason, str] = {
    StopReason.ACCEPTED: "an answer was accepted",
    StopReason.EXHAUSTED: "everything was tried",
    StopReason.MAX_NODES: "node limit",
    StopReason.MAX_TOKENS: "token limit",
    StopReason.DEADLINE: "time limit",
}

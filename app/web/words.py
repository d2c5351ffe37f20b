"""The server's names in words."""

from collections.abc import Mapping
from dataclasses import dataclass

from app.domain.budget import StopReason
from app.domain.iteration import Kind, Policy, Stage, Status
from app.domain.options import Mode
from app.domain.presets import PRESETS


@dataclass(frozen=True, slots=True)
class Words:
    """A choice: its title, and what it does in one sentence."""

    title: str
    explanation: str


MODES: Mapping[Mode, Words] = {
    Mode.BFS: Words(
        "Breadth-first tree search",
        "Several responses; the best of each level are rewritten into the next.",
    ),
    Mode.DFS: Words(
        "Depth-first tree search",
        "Rewrites the best response further and further, and steps back when that leads nowhere.",
    ),
    Mode.BEST_OF_N: Words("Best of N", "Several responses at once; the best judged one wins."),
    Mode.ITERATIVE: Words(
        "Iterative refinement", "One response, judged and rewritten until it is accepted."
    ),
    Mode.GREEDY: Words("Greedy", "One response, the likeliest words; nobody judges it."),
}
"""Every mode, in the order in which it is offered."""

STOP_REASONS: Mapping[StopReason, str] = {
    StopReason.ACCEPTED: "an answer was accepted",
    StopReason.EXHAUSTED: "everything was tried",
    StopReason.MAX_NODES: "node limit",
    StopReason.MAX_TOKENS: "token limit",
    StopReason.DEADLINE: "time limit",
}

STATUSES: Mapping[Status, str] = {
    Status.QUEUED: "waiting",
    Status.RUNNING: "running",
    Status.SUCCEEDED: "finished",
    Status.FAILED: "failed",
    Status.CANCELLED: "cancelled",
}

STAGES: Mapping[Stage, Words] = {
    Stage.PROMPTS: Words("Prompts", "Choose what to play on, and what to measure on."),
    Stage.RESPOND: Words("Respond", "The actor answers every prompt several times."),
    Stage.JUDGE: Words("Judge", "The refiner and the checkers judge every answer."),
    Stage.REFINE: Words("Refine", "A tree search repairs one rejected answer of each prompt."),
    Stage.BUILD: Words("Build", "Repairs and judgments become training data."),
    Stage.TRAIN: Words("Train", "Each role learns from its data."),
    Stage.EVALUATE: Words("Evaluate", "Candidate and incumbent do the same held-out tasks."),
    Stage.PROMOTE: Words("Promote", "The gate decides by what was measured."),
}
"""Every stage of an iteration, in its order."""

KINDS: Mapping[Kind, Words] = {
    Kind.SELF_PLAY: Words("Self-play", "The models make their own training data."),
    Kind.BOOTSTRAP: Words(
        "Bootstrap", "Learns from conversations that people provided (POST /admin/conversations)."
    ),
}

POLICIES: Mapping[Policy, Words] = {
    Policy.GATE: Words("If it measures better", "Serves only what passes the gate's rule."),
    Policy.ALWAYS: Words("In any case", "Serves what was trained, better or not."),
    Policy.NEVER: Words("Never", "Trains and measures; what serves stays as it is."),
}

_PRESET_WORDS: Mapping[str, str] = {
    "micro": "The least of everything, to see that it works: a minute or two.",
    "tiny": "A whole iteration within ten minutes on two CPU cores.",
    "small": "About an hour on two CPU cores, minutes on a GPU.",
    "paper": "The sizes of the SPaR paper, full fine-tuning. Needs GPUs.",
}
PRESET_HINTS: Mapping[str, str] = {name: _PRESET_WORDS[name] for name in PRESETS}
"""Every preset, and how long it takes."""

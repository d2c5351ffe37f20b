"""The option fields of the playground, from the schema of a request: limits are written once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from app.api.schemas import BudgetIn, SamplingIn, SearchIn
from app.domain.iteration import PRESETS, IterationKind, Policy, Stage, Status
from app.domain.search import Mode, StopReason


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

KINDS: Mapping[IterationKind, Words] = {
    IterationKind.SELF_PLAY: Words("Self-play", "The models make their own training data."),
    IterationKind.BOOTSTRAP: Words(
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


@dataclass(frozen=True, slots=True)
class NumberField:
    """A number of a request: `group.name`. `modes` are those that heed it."""

    group: str
    name: str
    label: str
    hint: str
    minimum: float | None
    maximum: float | None
    step: str
    default: float | None
    modes: str


_JUDGED = frozenset(Mode) - {Mode.GREEDY}
_TREES = frozenset({Mode.BFS, Mode.DFS})
_ALL = frozenset(Mode)

_GROUPS: Mapping[str, tuple[type[BaseModel], Mapping[str, tuple[str, str, frozenset[Mode]]]]] = {
    "search": (
        SearchIn,
        {
            "n": ("Responses", "", frozenset({Mode.BEST_OF_N})),
            "branch": ("Branch", "children per node", _TREES),
            "beam": ("Beam", "nodes kept per level", frozenset({Mode.BFS})),
            "depth": ("Depth", "levels", _TREES | {Mode.ITERATIVE}),
            "votes": ("Votes", "per judgment", _JUDGED),
            "accept_threshold": ("Gate", "value to exceed, 0 to 1", _JUDGED),
        },
    ),
    "budget": (
        BudgetIn,
        {
            "max_nodes": ("Nodes", "at most", _ALL),
            "max_tokens": ("Tokens", "at most, in all", _ALL),
            "deadline_ms": ("Time", "at most, in milliseconds", _ALL),
        },
    ),
    "sampling": (
        SamplingIn,
        {
            "temperature": ("Temperature", "0 to 2", _ALL),
            "top_p": ("Top-p", "above 0, up to 1", _ALL),
            "max_tokens": ("Length", "most tokens of a response", _ALL),
            "seed": ("Seed", "repeats the result", _ALL),
        },
    ),
}


def options_form() -> dict[str, list[NumberField]]:
    """The number fields of each group of a request's options."""
    form = {}
    for group, (schema, fields) in _GROUPS.items():
        properties = schema.model_json_schema()["properties"]
        form[group] = [
            _field(group, name, words, properties[name]) for name, words in fields.items()
        ]
    return form


def _field(
    group: str, name: str, words: tuple[str, str, frozenset[Mode]], schema: Mapping[str, Any]
) -> NumberField:
    # An optional number is described as "a number with limits, or null".
    number = next(
        (one for one in schema.get("anyOf", ()) if one.get("type") != "null"),
        schema,
    )
    label, hint, modes = words
    return NumberField(
        group=group,
        name=name,
        label=label,
        hint=hint,
        minimum=number.get("minimum", number.get("exclusiveMinimum")),
        maximum=number.get("maximum"),
        step="1" if number["type"] == "integer" else "any",
        default=schema.get("default"),
        modes=" ".join(sorted(modes)),
    )

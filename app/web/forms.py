"""Labels of choices, and the option fields of the playground, from the schema of a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from app.api.schemas import BudgetIn, SamplingIn, SearchIn
from app.domain.iteration import PRESETS, IterationKind, Policy, Stage, Status
from app.domain.search import Mode, StopReason


@dataclass(frozen=True, slots=True)
class Label:
    """A choice: its title and one sentence that explains it."""

    title: str
    explanation: str


MODES: Mapping[Mode, Label] = {
    Mode.BFS: Label(
        "Breadth-first tree search",
        "Several responses; the best of each level are refined into the next level.",
    ),
    Mode.DFS: Label(
        "Depth-first tree search",
        "Refines the best response repeatedly; backtracks when that does not help.",
    ),
    Mode.BEST_OF_N: Label("Best of N", "Several responses; the best judged one wins."),
    Mode.ITERATIVE: Label(
        "Iterative refinement", "One response, judged and refined until it is accepted."
    ),
    Mode.GREEDY: Label("Greedy", "One response at temperature 0; it is not judged."),
}
"""Every mode, in the order of the form."""

STOP_REASONS: Mapping[StopReason, str] = {
    StopReason.ACCEPTED: "an answer was accepted",
    StopReason.EXHAUSTED: "no node left to expand",
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

STAGES: Mapping[Stage, Label] = {
    Stage.PROMPTS: Label("Prompts", "Choose the prompts to train on and to evaluate on."),
    Stage.RESPOND: Label("Respond", "The actor answers every prompt several times."),
    Stage.JUDGE: Label("Judge", "The refiner and the checkers judge every answer."),
    Stage.REFINE: Label("Refine", "A tree search repairs one rejected answer of each prompt."),
    Stage.BUILD: Label("Build", "Repairs and judgments become training data."),
    Stage.TRAIN: Label("Train", "Each role is trained on its data."),
    Stage.EVALUATE: Label("Evaluate", "Candidate and incumbent are compared on held-out prompts."),
    Stage.PROMOTE: Label("Promote", "The gate decides by the evaluation."),
}
"""Every stage of an iteration, in its order."""

KINDS: Mapping[IterationKind, Label] = {
    IterationKind.SELF_PLAY: Label("Self-play", "The models generate their own training data."),
    IterationKind.BOOTSTRAP: Label(
        "Bootstrap", "Trains on uploaded conversations (POST /admin/conversations)."
    ),
}

POLICIES: Mapping[Policy, Label] = {
    Policy.GATE: Label("If it measures better", "Promotes only what passes the gate's rule."),
    Policy.ALWAYS: Label("Always", "Promotes what was trained, better or not."),
    Policy.NEVER: Label("Never", "Trains and evaluates; nothing is promoted."),
}

_PRESET_LABELS: Mapping[str, str] = {
    "micro": "The smallest iteration, to try it: a minute or two.",
    "tiny": "A whole iteration within ten minutes on two CPU cores.",
    "small": "About an hour on two CPU cores, minutes on a GPU.",
    "paper": "The sizes of the SPaR paper, full fine-tuning. Needs GPUs.",
}
PRESET_HINTS: Mapping[str, str] = {name: _PRESET_LABELS[name] for name in PRESETS}
"""Every preset, and how long it takes."""


@dataclass(frozen=True, slots=True)
class NumberField:
    """A number of a request: `group.name`. `modes` are those that use it."""

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
            "accept_threshold": ("Accept threshold", "value to exceed, 0 to 1", _JUDGED),
        },
    ),
    "budget": (
        BudgetIn,
        {
            "max_nodes": ("Nodes", "at most", _ALL),
            "max_tokens": ("Tokens", "at most, in total", _ALL),
            "deadline_ms": ("Time", "at most, in milliseconds", _ALL),
        },
    ),
    "sampling": (
        SamplingIn,
        {
            "temperature": ("Temperature", "0 to 2", _ALL),
            "top_p": ("Top-p", "above 0, up to 1", _ALL),
            "max_tokens": ("Length", "most tokens of a response", _ALL),
            "seed": ("Seed", "makes it reproducible", _ALL),
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

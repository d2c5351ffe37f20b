"""Iterations that stay in one phase for as long as somebody looks."""

from collections.abc import Mapping
from enum import StrEnum
from itertools import count, islice
from typing import Any

from app.domain.checkpoint import Role
from app.domain.iteration import IterationKind, Stage
from benchmarks.instructions import LONG_INSTRUCTIONS

PRESET = "small"
"""Its values are kept where they do not end the phase: it has the most calls in flight of the
presets that one machine runs."""
TRAINED = Role.ACTOR
PROMPTS = 600
CONVERSATIONS = 32

_NEVER_OVER = 1_000_000
_NO_EVALUATION = {"prompts": 1, "judged": 0}
_IMPORTED = {"prompts": PROMPTS, "sources": ["imported"]}


class Phase(StrEnum):
    """What the iteration does meanwhile; the first three call the model, the last one trains."""

    RESPOND = "respond"
    JUDGE = "judge"
    REFINE = "refine"
    TRAIN = "train"

    @property
    def stage(self) -> Stage:
        """The stage of the iteration."""
        return Stage(self.value)

    @property
    def body(self) -> dict[str, Any]:
        """What is posted to `/admin/iterations`."""
        kind = IterationKind.BOOTSTRAP if self is Phase.TRAIN else IterationKind.SELF_PLAY
        overrides = _OVERRIDES[self] | {"evaluation": _NO_EVALUATION}
        return {"preset": PRESET, "promote": "never", "kind": kind, "overrides": overrides}


# The stages before the wanted one are short: few and short responses.
_OVERRIDES: Mapping[Phase, dict[str, Any]] = {
    Phase.RESPOND: {"data": _IMPORTED},
    Phase.JUDGE: {"data": _IMPORTED | {"responses": 1, "max_tokens": 8, "votes": 5}},
    # All of five votes are hardly ever yes, so nearly every response is repaired, and to the full
    # depth.
    Phase.REFINE: {
        "data": _IMPORTED
        | {"prompts": 120, "responses": 1, "max_tokens": 32, "gate": 0.99}
        | {"votes": 5, "beam": 2, "depth": 3}
    },
    # A rate this low changes nothing, so the loss stays a number however long it goes on.
    Phase.TRAIN: {
        "roles": [TRAINED],
        "actor": {"max_steps": _NEVER_OVER, "learning_rate": 1e-9},
    },
}


def prompts() -> list[dict[str, Any]]:
    """What is posted to `/admin/prompts`: no constraints, so the votes alone judge."""
    texts = (
        f"{instruction} Use about {words} words."
        for words in count(100, 10)
        for instruction in LONG_INSTRUCTIONS
    )
    return [{"prompt": text} for text in islice(texts, PROMPTS)]


def conversations() -> list[dict[str, Any]]:
    """What is posted to `/admin/conversations`: some 150 words to learn in each."""
    return [
        {
            "role": TRAINED,
            "messages": [
                {"role": "user", "content": instruction},
                {"role": "assistant", "content": " ".join(_rotated(number)[:12])},
            ],
        }
        for number, instruction in enumerate(LONG_INSTRUCTIONS[:CONVERSATIONS])
    ]


def _rotated(number: int) -> tuple[str, ...]:
    return LONG_INSTRUCTIONS[number:] + LONG_INSTRUCTIONS[:number]

"""The option fields of the playground, from the schema of a request: limits are written once."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from app.api.schemas import BudgetIn, SamplingIn, SearchIn
from app.domain.options import Mode


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
            "gate": ("Gate", "value to exceed, 0 to 1", _JUDGED),
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

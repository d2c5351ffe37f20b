"""Every kind of constraint there is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.constraints import ifbench, ifeval, json_schema, pattern
from app.constraints.kinds import Kind

KINDS: Mapping[str, Kind] = {
    kind.id: kind for kind in (*ifeval.KINDS, *ifbench.KINDS, json_schema.KIND, pattern.KIND)
}


@dataclass(frozen=True, slots=True)
class ConstraintKind:
    """One kind as users see it; `kwargs` maps each argument to its JSON Schema.

    An argument without a `default` in its schema is required.
    """

    id: str
    description: str
    kwargs: Mapping[str, Mapping[str, Any]]


def catalogue() -> list[ConstraintKind]:
    """All kinds, IFEval's first."""
    return [ConstraintKind(kind.id, kind.description, _kwargs(kind)) for kind in KINDS.values()]


def _kwargs(kind: Kind) -> dict[str, dict[str, Any]]:
    properties = kind.kwargs.model_json_schema()["properties"]
    return {
        name: {key: value for key, value in schema.items() if key != "title"}
        for name, schema in properties.items()
    }

"""All kinds of constraints, and whether a constraint is written correctly."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from app.constraints import ifbench, ifeval, json_schema, pattern
from app.constraints.kinds import ConstraintKind, Kwargs
from app.domain.prompt import Constraint
from app.errors import InvalidRequest

KINDS: Mapping[str, ConstraintKind] = {
    kind.id: kind for kind in (*ifeval.KINDS, *ifbench.KINDS, json_schema.KIND, pattern.KIND)
}


@dataclass(frozen=True, slots=True)
class CatalogueEntry:
    """One kind as users see it; `kwargs` maps each argument to its JSON Schema.

    An argument without a `default` in its schema is required.
    """

    id: str
    description: str
    kwargs: Mapping[str, Mapping[str, Any]]


def catalogue() -> list[CatalogueEntry]:
    """All kinds, IFEval's first."""
    return [CatalogueEntry(kind.id, kind.description, _kwargs(kind)) for kind in KINDS.values()]


def _kwargs(kind: ConstraintKind) -> dict[str, dict[str, Any]]:
    properties = kind.kwargs.model_json_schema()["properties"]
    return {
        name: {key: value for key, value in schema.items() if key != "title"}
        for name, schema in properties.items()
    }


def validate(constraints: Sequence[Constraint], field: str = "constraints") -> None:
    """Refuse the first constraint that cannot be checked as written.

    `field` is the place of the constraints in the request, for the error's `field`.

    Raises:
        InvalidRequest: an id is unknown or kwargs are wrong.
    """
    for index, constraint in enumerate(constraints):
        place = f"{field}.{index}"
        if constraint.id not in KINDS:
            raise InvalidRequest(_unknown(constraint.id), field=f"{place}.id")
        try:
            parse(constraint)
        except ValidationError as error:
            problem = error.errors()[0]
            path = ".".join(str(part) for part in problem["loc"])
            raise InvalidRequest(
                _wrong(constraint.id, path, problem),
                field=f"{place}.kwargs.{path}" if path else f"{place}.kwargs",
            ) from error


def parse(constraint: Constraint) -> Kwargs:
    """The typed arguments.

    Raises:
        KeyError: the id is unknown.
        pydantic.ValidationError: the kwargs are wrong.
    """
    return KINDS[constraint.id].kwargs.model_validate(given(constraint.kwargs))


def given(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments that have a value: IFEval's files pad with nulls."""
    return {name: value for name, value in kwargs.items() if value is not None}


def _unknown(constraint_id: str) -> str:
    shown = constraint_id if len(constraint_id) <= 100 else constraint_id[:99] + "…"
    close = get_close_matches(shown, KINDS, n=3)
    hint = f" Did you mean {' or '.join(close)}?" if close else ""
    return f'There is no constraint "{shown}".{hint} GET /constraints lists them all.'


def _wrong(constraint_id: str, path: str, problem: ErrorDetails) -> str:
    fields = KINDS[constraint_id].kwargs.model_fields
    known = [str(info.alias or name) for name, info in fields.items()]
    takes = f"{constraint_id} takes {', '.join(known) or 'no arguments'}"
    match problem["type"]:
        case "missing":
            return f"`{path}` is missing: {takes}."
        case "extra_forbidden":
            return f"`{path}` is not known: {takes}."
    message = problem["msg"].removeprefix("Value error, ")
    return f"{constraint_id}: `{path}`: {message}." if path else f"{constraint_id}: {message}."

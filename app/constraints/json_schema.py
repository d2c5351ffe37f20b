"""The constraint `json_schema`: the response is JSON that follows a JSON Schema (2020-12).

Nothing is fetched: a reference has to point inside the schema.
"""

import json
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Annotated, Any, NoReturn

import regex
from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import SchemaError, ValidationError
from jsonschema.validators import extend
from pydantic import AfterValidator, Field
from referencing import Resource
from referencing.exceptions import Unresolvable
from referencing.jsonschema import DRAFT202012, EMPTY_REGISTRY, Schema

from app.constraints.kinds import ConstraintKind, Kwargs, Verdict, shorten

MAX_DEPTH = 64
MAX_BYTES = 65_536
_REPORTED_PROBLEMS = 3

# Checks the syntax only, and not with `re`, whose compiler can be made to run for very long.
_patterns = FormatChecker(())
_patterns.checks("regex", raises=(regex.error, RecursionError))(
    lambda value: not isinstance(value, str) or bool(regex.compile(value))
)


def _sound(schema: dict[str, Any]) -> dict[str, Any]:
    if _deeper_than(schema, MAX_DEPTH):
        raise ValueError(f"the schema is nested more than {MAX_DEPTH} levels deep")
    if len(json.dumps(schema)) > MAX_BYTES:
        raise ValueError(f"the schema is larger than {MAX_BYTES} bytes")
    try:
        Draft202012Validator.check_schema(schema, format_checker=_patterns)
        _resolve_references(schema)
    except SchemaError as error:
        raise ValueError(f"at {error.json_path}: {shorten(error.message, 200)}") from error
    except Unresolvable as error:
        raise ValueError(
            f'the reference "{shorten(error.ref)}" points to nothing inside the schema;'
            " schemas elsewhere are not fetched"
        ) from error
    return schema


def _deeper_than(value: Any, limit: int) -> bool:
    level = [value]
    for _ in range(limit):
        level = [child for parent in level for child in _children(parent)]
    return any(isinstance(value, dict | list) for value in level)


def _children(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _resolve_references(schema: dict[str, Any]) -> None:
    root: Resource[Schema] = DRAFT202012.create_resource(schema)
    pending = [(root, EMPTY_REGISTRY.resolver_with_root(root))]
    while pending:
        resource, resolver = pending.pop()
        if isinstance(resource.contents, Mapping):
            for keyword in ("$ref", "$dynamicRef"):
                if keyword in resource.contents:
                    resolver.lookup(resource.contents[keyword])
        for part in resource.subresources():
            pending.append((part, resolver.in_subresource(part)))


class JsonSchema(Kwargs):
    """`schema`: a JSON Schema, at most 64 levels deep and 64 KiB long."""

    body: Annotated[dict[str, Any], AfterValidator(_sound)] = Field(alias="schema")


KIND = ConstraintKind(
    "json_schema",
    "The whole response is JSON (a ```json fence is allowed) that follows a JSON Schema.",
    JsonSchema,
)


def parse_json(response: str) -> Any:
    """The JSON value that the response is, with or without a fence around it.

    Raises:
        ValueError: the response is anything else; JSON has no NaN and no Infinity.
        RecursionError: the JSON is nested too deeply.
    """
    body = regex.sub(r"\A```(?:json)?\s|\s*```\Z", "", response.strip(), flags=regex.IGNORECASE)
    return json.loads(body, parse_constant=_refuse_constant)


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def check(kwargs: JsonSchema, response: str, seconds: float) -> Verdict:
    """Validate a response.

    Raises:
        TimeoutError: a `pattern` takes `seconds` of processor time.
    """
    try:
        value = parse_json(response)
    except ValueError as error:
        return Verdict(
            False,
            f"the response is not JSON ({error}); only JSON, with no text around it, is asked for",
        )
    validator = _validator(kwargs.body, seconds)
    problems = list(islice(validator.iter_errors(value), _REPORTED_PROBLEMS))
    if not problems:
        return Verdict(True, "the response is JSON that follows the schema")
    described = "; ".join(f"at {p.json_path}: {shorten(p.message, 200)}" for p in problems)
    return Verdict(False, f"the JSON does not follow the schema: {described}")


def _validator(schema: dict[str, Any], seconds: float) -> Any:
    def pattern(_: Any, expected: str, text: Any, __: Any) -> Iterator[ValidationError]:
        if isinstance(text, str) and not regex.search(expected, text, timeout=seconds):
            yield ValidationError(f"{text!r} does not match {expected!r}")

    validator = extend(Draft202012Validator, {"pattern": pattern})  # type: ignore[no-untyped-call]
    return validator(schema, registry=EMPTY_REGISTRY)

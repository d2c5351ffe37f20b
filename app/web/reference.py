"""The API reference at `/docs`, from the OpenAPI description."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Json = Mapping[str, Any]

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Field:
    """A parameter of a request or a field of a JSON object; `types` may name schemas."""

    name: str
    types: tuple[str, ...]
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One route: the schemas that it takes, and those that it returns on success."""

    id: str
    method: str
    path: str
    title: str
    description: str
    parameters: tuple[Field, ...]
    takes: tuple[str, ...]
    returns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Schema:
    """A named JSON object or choice."""

    name: str
    description: str
    fields: tuple[Field, ...]
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reference:
    """Operations by their group, and the schemas they name."""

    groups: Mapping[str, tuple[Operation, ...]]
    schemas: tuple[Schema, ...]


def reference_of(description: Json) -> Reference:
    """The reference of an OpenAPI 3.1 description."""
    groups: dict[str, tuple[Operation, ...]] = {}
    for path, item in description["paths"].items():
        for method in METHODS:
            if method in item:
                (group, *_) = item[method].get("tags", ["other"])
                groups[group] = (*groups.get(group, ()), _operation(method, path, item[method]))
    schemas = description.get("components", {}).get("schemas", {})
    return Reference(groups, tuple(_schema(name, one) for name, one in sorted(schemas.items())))


def _operation(method: str, path: str, described: Json) -> Operation:
    good = [answer for status, answer in described["responses"].items() if status.startswith("2")]
    return Operation(
        id=described["operationId"],
        method=method.upper(),
        path=path,
        title=described.get("summary", ""),
        description=described.get("description", ""),
        parameters=tuple(_parameter(one) for one in described.get("parameters", ())),
        takes=_contents(described.get("requestBody", {})),
        returns=tuple(name for answer in good for name in _contents(answer)),
    )


def _parameter(described: Json) -> Field:
    schema = described.get("schema", {})
    text = described.get("description") or schema.get("description", "")
    return Field(
        f"{described['name']} ({described['in']})",
        tuple(_types(schema)),
        described.get("required", False),
        _with_default(text, schema),
    )


def _contents(described: Json) -> tuple[str, ...]:
    return tuple(
        name
        for kind, content in described.get("content", {}).items()
        for name in (_types(content.get("schema", {})) if kind == "application/json" else [kind])
    )


def _schema(name: str, described: Json) -> Schema:
    required = described.get("required", ())
    fields = tuple(
        Field(
            field,
            tuple(_types(one)),
            field in required,
            _with_default(one.get("description", ""), one),
        )
        for field, one in described.get("properties", {}).items()
    )
    choices = tuple(str(choice) for choice in described.get("enum", ()))
    return Schema(name, described.get("description", ""), fields, choices)


def _types(schema: Json) -> Iterator[str]:
    """The types of a value: names of schemas, or JSON types."""
    for several in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(several, ()):
            yield from _types(one)
    if "$ref" in schema:
        yield schema["$ref"].rpartition("/")[2]
    elif "enum" in schema:
        yield " or ".join(str(choice) for choice in schema["enum"])
    elif schema.get("type") == "array":
        yield "list of"
        yield from _types(schema.get("items", {}))
    elif "type" in schema:
        yield schema["type"]


def _with_default(text: str, schema: Json) -> str:
    if schema.get("default") is None or isinstance(schema["default"], (dict, list)):
        return text
    return f"{text} Default: {schema['default']}.".strip()

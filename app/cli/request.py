"""From command-line arguments to a request that is known to be well-formed."""

import json
import sys
from pathlib import Path
from typing import Any, TypeVar

import typer
from pydantic import BaseModel, ValidationError

_OPTIONS = {
    ("prompt",): "PROMPT",
    ("sampling", "max_tokens"): "--length",
    ("budget", "deadline_ms"): "--deadline",
    ("constraints",): "--constraint",
}
_Schema = TypeVar("_Schema", bound=BaseModel)


def given(**options: object) -> dict[str, object]:
    """The options that were given: whatever is not None."""
    return {name: value for name, value in options.items() if value is not None}


def checked(schema: type[_Schema], body: dict[str, Any]) -> _Schema:
    """A valid request; raises `typer.BadParameter` naming the option that is wrong."""
    try:
        return schema.model_validate(body)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message = first["msg"].removeprefix("Value error, ")
        if first["type"] == "string_unicode":
            message = "the text is not UTF-8"
        raise typer.BadParameter(message, param_hint=_option(first["loc"])) from error


def parse_constraints(texts: list[str] | None) -> list[dict[str, Any]]:
    """`ID` or `ID=JSON` to the request's form; raises `typer.BadParameter`."""
    return [_parse_constraint(text) for text in texts or []]


def read_prompt(argument: str | None) -> str:
    """The prompt: the argument, or standard input where that is `-` or something is piped in."""
    if argument is not None and argument != "-":
        return argument
    if argument is None and sys.stdin.isatty():
        raise typer.BadParameter("give the instruction, or `-` to read it", param_hint="PROMPT")
    return _decode(sys.stdin.buffer.read(), "PROMPT")


def read_response(text: str | None, file: Path | None) -> str:
    """The response to judge, from exactly one of its two options."""
    hint = "--response"
    if (text is None) == (file is None):
        raise typer.BadParameter("give either --response or --response-file", param_hint=hint)
    return text or "" if file is None else read_file(file, "--response-file")


def read_file(file: Path, option: str) -> str:
    """A file's text; `-` is standard input. Raises `typer.BadParameter` naming the option."""
    if file == Path("-"):
        return _decode(sys.stdin.buffer.read(), option)
    try:
        return _decode(file.read_bytes(), option)
    except OSError as error:
        reason = f"cannot read {file}: {error.strerror}"
        raise typer.BadParameter(reason, param_hint=option) from error


def _option(location: tuple[int | str, ...]) -> str | None:
    names = tuple(part for part in location if isinstance(part, str))
    if not names:
        return None
    known = _OPTIONS.get(names) or _OPTIONS.get(names[:1])
    return known or "--" + names[-1].replace("_", "-")


def _parse_constraint(text: str) -> dict[str, Any]:
    name, equals, arguments = text.partition("=")
    try:
        kwargs = json.loads(arguments) if equals else {}
        # What JSON cannot carry (NaN, infinities, half characters) fails here and not when sent.
        json.dumps(kwargs, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        message = f"what follows `{name}=` is not JSON: {error}"
        raise typer.BadParameter(message, param_hint="--constraint") from error
    if not isinstance(kwargs, dict):
        message = f'what follows `{name}=` must be a JSON object, like {{"num_words": 50}}'
        raise typer.BadParameter(message, param_hint="--constraint")
    return {"id": name, "kwargs": kwargs}


def _decode(content: bytes, hint: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise typer.BadParameter("the text is not UTF-8", param_hint=hint) from error

"""Reading the rows of a suite's file: JSON lines, or one JSON array as some are published."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.errors import ConfigurationError

Row = TypeVar("Row", bound=BaseModel)


def read_rows(file: Path, model: type[Row], limit: int | None = None) -> list[tuple[str, Row]]:
    """The first `limit` rows, each with its place ("FILE, line 3") for errors.

    Blank lines are skipped. Raises `ConfigurationError` naming the file and the place of what is
    wrong.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the rows in {file} cannot be read: {error}") from error
    wanted = islice(_values(file, text), limit)
    return [(place, _read(place, value, model)) for place, value in wanted]


def _values(file: Path, text: str) -> Iterator[tuple[str, Any]]:
    if text.lstrip().startswith("["):
        for number, value in enumerate(_parsed(str(file), text), start=1):
            yield f"{file}, row {number}", value
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            place = f"{file}, line {number}"
            yield place, _parsed(place, line)


def _parsed(place: str, text: str) -> Any:
    try:
        return json.loads(text)
    # A line of nothing but brackets is deeper than the parser goes.
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{place}: not JSON: {error}") from error


def _read(place: str, value: Any, model: type[Row]) -> Row:
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in problem["loc"])
        raise ConfigurationError(
            f"{place}: {field + ': ' if field else ''}{problem['msg']}"
        ) from error

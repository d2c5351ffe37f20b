"""The rows of a benchmark's file, and its digest."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from app.errors import ConfigurationError
from app.evaluation.base import Item, Suite

Row = TypeVar("Row", bound=BaseModel)


def read_rows(file: Path, model: type[Row], limit: int | None = None) -> list[tuple[str, Row]]:
    """The first `limit` rows, each with its place ("FILE, line 3") for errors.

    Blank lines are skipped.

    Raises:
        ConfigurationError: A row is not valid; the text names the file and the place.
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
    # A line of many brackets exceeds the parser's depth.
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


@dataclass(frozen=True, slots=True)
class Data:
    """The rows that were read of a file, and the SHA-256 of the whole file."""

    file: Path
    items: Sequence[Item]
    digest: str


def read_data(suite: Suite, file: Path, limit: int | None) -> Data:
    """The first `limit` rows of a suite's file; None is all.

    Raises:
        ConfigurationError: The file cannot be read, a row is not valid, or there is none.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error
    items = suite.read(file)[:limit]
    if not items:
        raise ConfigurationError(f"{file} has no rows")
    return Data(file, items, sha256(content).hexdigest())


def joined(data: Sequence[Data]) -> Data:
    """The rows of several files as those of one; the keys get the files' names as prefixes.

    Raises:
        ConfigurationError: Two files have the same name.
    """
    if len(data) == 1:
        return data[0]
    named = zip(names_of([one.file for one in data]), data, strict=True)
    items = [replace(item, key=f"{name}/{item.key}") for name, one in named for item in one.items]
    digest = sha256("".join(one.digest for one in data).encode()).hexdigest()
    return Data(data[0].file, items, digest)


def names_of(files: Sequence[Path]) -> list[str]:
    """A name for each file: its stem, with its folder's name in front where stems are equal.

    Raises:
        ConfigurationError: Two files still have the same name.
    """
    names = [file.stem for file in files]
    if len(set(names)) < len(names):
        # All of LLMBar's files are named `dataset.json`, in a folder for each subset.
        names = [f"{file.absolute().parent.name}-{file.stem}" for file in files]
    if len(set(names)) < len(names):
        raise ConfigurationError(f"two files have the same name: {', '.join(map(str, files))}")
    return names

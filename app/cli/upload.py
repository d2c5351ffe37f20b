"""Sending the rows of a JSONL file to the server, in batches; a bad one is named by its line."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.api.admin.prompt_schemas import AddedOut
from app.cli.client import JsonObject, Refused
from app.errors import InvalidRequest

BATCH_ROWS = 200
BATCH_CHARACTERS = 200_000
"""Well below the server's limit of a body, unless a single row is longer."""

_PLACE = re.compile(r"^\w+\.(\d+)(?:\.|$)")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: the number of its line, how long that is, and what is sent of it."""

    line: int
    length: int
    content: JsonObject


@dataclass(slots=True)
class Tally:
    """What became of the rows so far; `read` counts the bytes of the file."""

    added: int = 0
    known: int = 0
    read: int = 0


def prompt_row(row: JsonObject) -> JsonObject:
    """What the server takes of a row of prompts; IFEval's way to write constraints is another.

    Raises ValueError for lists that do not go together.
    """
    content = _only(row, "prompt", "messages", "constraints")
    if "instruction_id_list" in row:
        ids, kwargs = row["instruction_id_list"], row.get("kwargs")
        if not isinstance(ids, list) or not isinstance(kwargs, list) or len(ids) != len(kwargs):
            raise ValueError("`instruction_id_list` and `kwargs` must be lists of the same length")
        pairs = zip(ids, kwargs, strict=True)
        constraints = [{"id": one, "kwargs": arguments} for one, arguments in pairs]
        known = content.get("constraints", [])
        if not isinstance(known, list):
            raise ValueError("`constraints` must be a list")
        content["constraints"] = [*known, *constraints]
    return content


def conversation_row(row: JsonObject) -> JsonObject:
    """What the server takes of a row of conversations."""
    return _only(row, "role", "messages")


def read_rows(
    file: Path, convert: Callable[[JsonObject], JsonObject], tally: Tally
) -> Iterator[Row]:
    """The rows of a JSONL file; empty lines are skipped.

    Raises `InvalidRequest` naming the first line that is no row.
    """
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            tally.read += len(line)
            if not line.strip():
                continue
            try:
                content = convert(_object(line))
                _check_text(content)
            except (ValueError, RecursionError) as error:
                raise _bad_line(number, str(error)) from error
            yield Row(number, len(line), content)


def upload(rows: Iterable[Row], send: Callable[[list[JsonObject]], AddedOut], tally: Tally) -> None:
    """Send all rows, in order; good ones before a bad one are sent.

    Raises `InvalidRequest` naming the line of the bad one, and what `send` raises.
    """
    for batch in _batches(rows):
        _send(batch, send, tally)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """The rows in batches; those before a bad line come before its error."""
    batch: list[Row] = []
    try:
        for row in rows:
            if batch and _full(batch, row):
                yield batch
                batch = []
            batch.append(row)
    except InvalidRequest:
        yield batch
        raise
    yield batch


def _send(batch: list[Row], send: Callable[[list[JsonObject]], AddedOut], tally: Tally) -> None:
    if not batch:
        return
    try:
        added = send([row.content for row in batch])
    except Refused as error:
        place = _PLACE.match(error.field or "")
        if place is None:
            raise
        bad = int(place[1])
        # The server takes all rows of a batch or none.
        _send(batch[:bad], send, tally)
        raise _bad_line(batch[bad].line, error.message.replace(place[0], "")) from error
    tally.added += added.added
    tally.known += added.known


def _full(batch: list[Row], row: Row) -> bool:
    length = sum(one.length for one in batch) + row.length
    return len(batch) == BATCH_ROWS or length > BATCH_CHARACTERS


def _only(row: JsonObject, *names: str) -> JsonObject:
    return {name: row[name] for name in names if name in row}


def _object(line: bytes) -> JsonObject:
    try:
        row: Any = json.loads(
            line.decode("utf-8-sig"), parse_constant=_no_number, parse_float=_finite
        )
    except UnicodeDecodeError as error:
        raise ValueError("it is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not JSON: {error.msg}") from error
    if not isinstance(row, dict):
        raise ValueError("it is not a JSON object")
    return row


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is too large a number")
    return number


def _check_text(content: JsonObject) -> None:
    """Raise ValueError for half a character, which an escape may name and nothing can send."""
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        half = f"\\u{ord(error.object[error.start]):04x}"
        raise ValueError(f"{half} is half a character (a lone surrogate)") from error


def _bad_line(number: int, reason: str) -> InvalidRequest:
    return InvalidRequest(f"line {number}: {reason}")

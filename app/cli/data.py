"""JSONL files to the server, validated first, and training data from it."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from app.api.admin.schemas import ConversationIn, SamplePageOut
from app.api.schemas import PromptIn
from app.cli.admin import Admin, Uploaded
from app.cli.client import JsonObject, Refused
from app.cli.console import count, counting_bar, print_error
from app.constraints.catalogue import validate
from app.domain.checkpoint import Role
from app.domain.prompt import Constraint
from app.errors import ConfigurationError, InvalidRequest

BATCH_ROWS = 200
BATCH_BYTES = 200_000
"""Well below the server's limit of a request body, unless a single row is longer."""

_ROW_OF_FIELD = re.compile(r"^\w+\.(\d+)(?:\.|$)")


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a file: its line number, the line's length in bytes, and what is sent."""

    line: int
    length: int
    content: JsonObject


def prompt_row(row: JsonObject) -> JsonObject:
    """The fields of a prompt, with IFEval's lists of constraints converted to this project's.

    Raises:
        ValueError: The prompt is invalid; `InvalidRequest` where a constraint is.
    """
    content: JsonObject = {
        name: row[name] for name in ("prompt", "messages", "constraints") if name in row
    }
    if "instruction_id_list" in row:
        ids, kwargs = row["instruction_id_list"], row.get("kwargs")
        if not isinstance(ids, list) or not isinstance(kwargs, list) or len(ids) != len(kwargs):
            raise ValueError("`instruction_id_list` and `kwargs` must be lists of the same length")
        known = content.get("constraints", [])
        if not isinstance(known, list):
            raise ValueError("`constraints` must be a list")
        pairs = zip(ids, kwargs, strict=True)
        content["constraints"] = known + [{"id": one, "kwargs": given} for one, given in pairs]
    read = PromptIn.model_validate(content)
    validate([Constraint(one.id, one.kwargs) for one in read.constraints])
    return content


def conversation_row(row: JsonObject) -> JsonObject:
    """The fields of a conversation.

    Raises:
        ValueError: The conversation is invalid.
    """
    content: JsonObject = {name: row[name] for name in ("role", "messages") if name in row}
    ConversationIn.model_validate(content)
    return content


_CONVERTERS: Mapping[Uploaded, Callable[[JsonObject], JsonObject]] = {
    "prompts": prompt_row,
    "conversations": conversation_row,
}


def read_rows(file: Path, what: Uploaded) -> list[Row]:
    """The rows of a JSONL file; empty lines are skipped.

    Every invalid line is printed with its number and the reason.

    Raises:
        InvalidRequest: A line is invalid.
        ConfigurationError: The file cannot be read.
    """
    convert = _CONVERTERS[what]
    rows: list[Row] = []
    invalid = 0
    try:
        with file.open("rb") as lines:
            for number, line in enumerate(lines, start=1):
                if not line.strip():
                    continue
                try:
                    rows.append(Row(number, len(line), convert(_object(line))))
                except (InvalidRequest, ValueError, RecursionError) as error:
                    invalid += 1
                    print_error(InvalidRequest(f"line {number}: {_reason(error)}"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error
    if invalid:
        total = count(invalid + len(rows), "row")
        raise InvalidRequest(f"{invalid:,} of {total} cannot be used; nothing was sent")
    return rows


def send_rows(admin: Admin, what: Uploaded, rows: list[Row]) -> dict[str, int]:
    """Send the rows in batches: how many were `added`, and how many `known` before.

    Raises:
        InvalidRequest: The server rejects a row, which the error names by its line. Earlier
            batches stay.
    """
    totals = {"added": 0, "known": 0}
    with counting_bar() as bar:
        task = bar.add_task(what, total=len(rows))
        for batch in _batches(rows):
            try:
                added = admin.upload(what, [row.content for row in batch])
            except Refused as error:
                place = _ROW_OF_FIELD.match(error.field or "")
                if place is None and len(batch) > 1:
                    raise
                row = batch[int(place[1])] if place else batch[0]
                reason = error.message.replace(place[0], "") if place else error.message
                raise InvalidRequest(f"line {row.line}: {reason}") from error
            totals["added"] += added.added
            totals["known"] += added.known
            bar.update(task, advance=len(batch))
    return totals


def export_samples(admin: Admin, iteration_id: str, folder: Path) -> dict[Role, int]:
    """Write a file `ROLE.jsonl` for each role that has training data; how many samples each has.

    Raises:
        ConfigurationError: The folder cannot be written.
        SparError: The errors of `Client`.
    """
    numbers = {}
    for role in Role:
        file = folder / f"{role}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            numbers[role] = _write(file, _samples(admin, iteration_id, role))
        except OSError as error:
            raise ConfigurationError(f"cannot write {file}: {error.strerror}") from error
    return numbers


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    length = 0
    for row in rows:
        if batch and (len(batch) == BATCH_ROWS or length + row.length > BATCH_BYTES):
            yield batch
            batch, length = [], 0
        batch.append(row)
        length += row.length
    if batch:
        yield batch


def _object(line: bytes) -> JsonObject:
    """The JSON object of a line.

    Raises:
        ValueError: The line is not a JSON object that can be sent.
    """
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
    try:
        json.dumps(row, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        surrogate = f"\\u{ord(error.object[error.start]):04x}"
        raise ValueError(f"{surrogate} is a lone surrogate, not a character") from error
    return row


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError(f"{digits} is too large a number")
    return number


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    field = ".".join(map(str, first["loc"]))
    return message if not field or f"`{field}`" in message else f"`{field}`: {message}"


def _write(file: Path, rows: Iterator[Any]) -> int:
    """Write all rows or none, and no file where there is no row; how many there were."""
    number = 0
    part = file.with_name(file.name + ".part")
    try:
        with part.open("w", encoding="utf-8") as lines:
            for row in rows:
                number += 1
                lines.write(json.dumps(row, ensure_ascii=False) + "\n")
        if number:
            part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return number


def _samples(admin: Admin, iteration_id: str, role: Role) -> Iterator[Any]:
    cursor: int | None = None
    while True:
        page = admin.read(SamplePageOut, admin.samples(iteration_id, role, cursor))
        yield from (sample.content for sample in page.samples)
        cursor = page.next_cursor
        if cursor is None:
            return

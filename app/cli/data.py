"""Files to the server, and training data from it."""

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.progress import Progress

from app.api.admin.schemas import AddedOut, SamplePageOut
from app.cli.admin import Admin, Uploaded
from app.cli.client import JsonObject, Refused
from app.cli.console import count, err, say
from app.domain.checkpoint import Role
from app.errors import ConfigurationError, InvalidRequest

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


def send_file(admin: Admin, what: Uploaded, file: Path, *, silent: bool = False) -> None:
    """Send the rows of a JSONL file, and say how many of them were new.

    Raises `InvalidRequest` naming a bad line; the rows before it are kept, and counted too.
    """
    tally = Tally()
    convert = prompt_row if what == "prompts" else conversation_row
    console = err()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(what, total=file.stat().st_size or None)

        def send(rows: list[JsonObject]) -> AddedOut:
            added = admin.upload(what, rows)
            bar.update(task, completed=tally.read)
            return added

        try:
            upload(read_rows(file, convert, tally), send, tally)
        finally:
            bar.stop()
            if not silent:
                say(f"{tally.added:,} new, {tally.known:,} known already")


def export_samples(admin: Admin, iteration_id: str, folder: Path) -> None:
    """Write a file for each role that has training data.

    Raises `ConfigurationError` where the folder cannot be written, and the errors of `Client`.
    """
    for role in Role:
        file = folder / f"{role}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            number = _write(file, _contents(admin, iteration_id, role))
        except OSError as error:
            raise ConfigurationError(f"cannot write {file}: {error.strerror}") from error
        say(f"{role}: {count(number, 'sample')}" + (f" in {file}" if number else ""))


def _write(file: Path, rows: Iterator[Any]) -> int:
    """Write all rows or none; no file where there is no row. How many there were."""
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


def _contents(admin: Admin, iteration_id: str, role: Role) -> Iterator[Any]:
    cursor: int | None = None
    while True:
        page = admin.read(SamplePageOut, admin.samples(iteration_id, role, cursor))
        yield from (sample.content for sample in page.samples)
        cursor = page.next_cursor
        if cursor is None:
            return

"""Files to the server, and training data from it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.progress import Progress

from app.api.admin.prompt_schemas import AddedOut
from app.api.admin.schemas import SamplePageOut
from app.cli.admin import Admin, Uploaded
from app.cli.client import JsonObject
from app.cli.console import count, err, say
from app.cli.upload import Tally, conversation_row, prompt_row, read_rows, upload
from app.domain.checkpoint import Role
from app.errors import ConfigurationError


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

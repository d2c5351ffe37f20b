"""What an experiment has found so far, kept item by item, so that it can be gone on with."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from app.errors import ConfigurationError

Row = dict[str, Any]
"""What was found of one item, as JSON-able values."""


class Journal:
    """The finished items of one plan, in a file of JSON lines.

    Another plan has another file: what was asked otherwise is never mixed in. A line that a
    kill cut short is dropped, and its item asked again.
    """

    def __init__(self, folder: Path, name: str, plan: Mapping[str, Any]) -> None:
        """Open the plan's journal.

        Raises `ConfigurationError` where it cannot be kept, or was changed by something else.
        """
        identity = sha256(json.dumps(plan, sort_keys=True, default=str).encode()).hexdigest()
        self.file = folder / f"{name}-{identity[:12]}.jsonl"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self.rows = self._read()
        except OSError as error:
            raise ConfigurationError(f"cannot keep {self.file}: {error.strerror}") from error

    def add(self, key: str, row: Row) -> None:
        """Keep what was found of an item. Raises `ConfigurationError` where it cannot be kept."""
        line = json.dumps({"key": key, "row": row}, ensure_ascii=False)
        try:
            with self.file.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError as error:
            raise ConfigurationError(f"cannot keep {self.file}: {error.strerror}") from error
        self.rows[key] = row

    def _read(self) -> dict[str, Row]:
        if not self.file.exists():
            return {}
        text = self.file.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) < len(text):
            self.file.write_bytes(whole)
        # Not `splitlines`: a text may hold other characters that end a line.
        return dict(self._row(line) for line in whole.split(b"\n") if line)

    def _row(self, line: bytes) -> tuple[str, Row]:
        try:
            values = json.loads(line)
            return values["key"], values["row"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ConfigurationError(
                f"{self.file} has a line that was not written here: take the line out, or the file"
            ) from error

"""Reads the lines that are appended to a trainer's progress file."""

from collections.abc import Iterator
from pathlib import Path

from training.step import TrainingStep


class Tail:
    """Follows a file from its present end on, so that what was there before is not read."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._at = file.stat().st_size if file.exists() else 0

    def read(self) -> Iterator[TrainingStep]:
        """The steps whose lines were finished since the last call."""
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    break  # Still being written.
                self._at += len(line)
                step = TrainingStep.from_line(line.decode(errors="replace"))
                if step is not None:
                    yield step

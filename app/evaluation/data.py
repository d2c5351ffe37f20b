"""The rows of a benchmark's file, with what tells the file from any other."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path

from app.errors import ConfigurationError
from app.evaluation.base import Item, Suite


@dataclass(frozen=True, slots=True)
class Data:
    """The rows that were read of a file, and the SHA-256 of the whole file."""

    file: Path
    items: Sequence[Item]
    digest: str


def read_data(suite: Suite, file: Path, limit: int | None) -> Data:
    """The first `limit` rows of a suite's file; None is all. Raises `ConfigurationError`."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read {file}: {error.strerror}") from error
    items = suite.read(file)[:limit]
    if not items:
        raise ConfigurationError(f"{file} has no rows")
    return Data(file, items, sha256(content).hexdigest())


def joined(data: Sequence[Data]) -> Data:
    """The rows of several files as those of one, their keys told apart by the files' names.

    Raises `ConfigurationError` for a file that is there twice.
    """
    if len(data) == 1:
        return data[0]
    named = zip(names_of([one.file for one in data]), data, strict=True)
    items = [replace(item, key=f"{name}/{item.key}") for name, one in named for item in one.items]
    digest = sha256("".join(one.digest for one in data).encode()).hexdigest()
    return Data(data[0].file, items, digest)


def names_of(files: Sequence[Path]) -> list[str]:
    """A name for each file: its own, or with its folder's where two are called the same.

    Raises `ConfigurationError` where that does not tell them apart.
    """
    names = [file.stem for file in files]
    if len(set(names)) < len(names):
        # LLMBar's own files are all called `dataset.json`, in a folder for each subset.
        names = [f"{file.absolute().parent.name}-{file.stem}" for file in files]
    if len(set(names)) < len(names):
        raise ConfigurationError(f"two files are called the same: {', '.join(map(str, files))}")
    return names

"""What every client, database and JSON reader can take; anything else is refused at the door."""

import math
from collections.abc import Iterator
from typing import Any


def storable_text(text: str) -> str:
    """The text itself. Raises ValueError for NUL and for half a surrogate pair."""
    if "\x00" in text:
        raise ValueError("text must not contain the NUL character")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            "text must not contain a lone surrogate, such as \\ud800: it is half a character"
        ) from error
    return text


def storable_json(values: dict[str, Any]) -> dict[str, Any]:
    """The JSON object itself. Raises ValueError for such a text in it, NaN and Infinity."""
    for scalar in _scalars(values):
        if isinstance(scalar, str):
            storable_text(scalar)
        elif isinstance(scalar, float) and not math.isfinite(scalar):
            raise ValueError("numbers must be finite: NaN and Infinity are not JSON")
    return values


def _scalars(value: Any) -> Iterator[Any]:
    """Every key and every value that is neither a list nor an object, at any depth."""
    pending = [value]
    while pending:
        part = pending.pop()
        if isinstance(part, dict):
            pending.extend(part)
            pending.extend(part.values())
        elif isinstance(part, list):
            pending.extend(part)
        else:
            yield part

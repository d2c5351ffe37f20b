"""Column types that mean the same on every database."""

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, Dialect, String
from sqlalchemy.types import TypeDecorator

# PostgreSQL refuses NUL, no driver can encode a lone surrogate, and models may produce both.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def storable_text(text: str) -> str:
    """The text with NUL and lone surrogates replaced by U+FFFD."""
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", text)


def storable_json(value: Any) -> Any:
    """A copy of a JSON-like value that every database accepts.

    Texts and keys become `storable_text`; NaN and infinite numbers, which JSON lacks,
    become null.
    """
    match value:
        case str():
            return storable_text(value)
        case float() if not math.isfinite(value):
            return None
        case Mapping():
            return {storable_text(str(key)): storable_json(item) for key, item in value.items()}
        case list() | tuple():
            return [storable_json(item) for item in value]
        case _:
            return value


class StorableText(TypeDecorator[str]):
    """Text made storable on its way in, also where it is compared with."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: str | None, _: Dialect) -> str | None:
        """Replace what cannot be stored."""
        return None if value is None else storable_text(value)


class StorableJSON(TypeDecorator[Any]):
    """JSON made storable on its way in."""

    impl = JSON
    cache_ok = True

    def process_bind_param(self, value: Any, _: Dialect) -> Any:
        """Replace what cannot be stored."""
        return storable_json(value)


class UtcDateTime(TypeDecorator[datetime]):
    """An instant: takes any time zone, gives UTC, also where the database keeps no zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Convert to UTC.

        Raises:
            ValueError: the time has no zone.
        """
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time needs a time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, _: Dialect) -> datetime | None:
        """Add the zone UTC where the database does not store it."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)

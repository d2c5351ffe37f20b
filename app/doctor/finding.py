"""What a check comes to."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from app.errors import SparError


class Level(StrEnum):
    """Fine; worth a look; or it will not work."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `fix` says what to do, and is empty where all is well."""

    check: str
    level: Level
    words: str
    fix: str = ""


def ok(check: str, words: str) -> Finding:
    """All is well."""
    return Finding(check, Level.OK, words)


def warn(check: str, words: str, fix: str) -> Finding:
    """It will work, and not as well as it could."""
    return Finding(check, Level.WARN, words, fix)


def fail(check: str, words: str, fix: str) -> Finding:
    """It will not work."""
    return Finding(check, Level.FAIL, words, fix)


def tried(check: str, words: str, attempt: Callable[[], object]) -> Finding:
    """Fine if the attempt raises none of our errors; those say themselves what to do."""
    try:
        attempt()
    except SparError as error:
        what, _, fix = error.message.partition(". ")
        return fail(check, what, fix or "see what the message says")
    return ok(check, words)

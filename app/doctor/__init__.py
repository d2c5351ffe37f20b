"""Checks of a machine and a configuration; each finding says what is wrong and how to fix it."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from app.errors import SparError


class Level(StrEnum):
    """The severity of a finding: fine, degraded, or broken."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report; `fix` says what to do, and is empty with `ok`."""

    check: str
    level: Level
    words: str
    fix: str = ""


def ok(check: str, words: str) -> Finding:
    """A check that passed."""
    return Finding(check, Level.OK, words)


def warn(check: str, words: str, fix: str) -> Finding:
    """A check that found a degradation."""
    return Finding(check, Level.WARN, words, fix)


def fail(check: str, words: str, fix: str) -> Finding:
    """A check that found an error."""
    return Finding(check, Level.FAIL, words, fix)


def tried(check: str, words: str, attempt: Callable[[], object]) -> Finding:
    """Passed unless the attempt raises a `SparError`, whose message says how to fix it."""
    try:
        attempt()
    except SparError as error:
        what, _, fix = error.message.partition(". ")
        return fail(check, what, fix or "see the message")
    return ok(check, words)

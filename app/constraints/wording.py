"""Small parts of messages."""

from app.constraints.kinds import Relation

_BOUNDS = {
    "less than": "fewer than {} allowed",
    "at least": "at least {} asked for",
    "at most": "at most {} allowed",
}


def plural(number: int, noun: str) -> str:
    """ "1 word", "2 words"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def bound(relation: Relation, number: int) -> str:
    """What was asked for: "at most 100 allowed"."""
    return _BOUNDS[relation].format(number)


def shorten(text: str, length: int = 80) -> str:
    """The text on one line, cut to `length` characters."""
    line = " ".join(text[: 4 * length].split())
    return line if len(line) <= length else line[: length - 1] + "…"


def quoted(text: str) -> str:
    """The text, shortened, in double quotation marks."""
    return f'"{shorten(text)}"'

"""Asking a model which of two responses is better, and reading what it replies."""

import re
from functools import cache
from importlib.resources import files

from app.domain.prompt import Message

_FIELD = re.compile(r"\{(\w+)\}")
_MARKED = re.compile(r"\bbetter\W*(?:is\W+)?(?:response\W*)?([12])(?![\w.]*\d)", re.IGNORECASE)
_BARE = re.compile(r"\W*(?:response\W*)?([12])\W*", re.IGNORECASE)


def comparison_messages(instruction: str, first: str, second: str) -> tuple[Message, ...]:
    """The question, as a conversation of one message."""
    values = {"instruction": instruction, "first": first, "second": second}
    # In one pass, so that braces in the texts stay as they are.
    return (Message("user", _FIELD.sub(lambda match: values[match[1]], _template())),)


def read_preference(reply: str) -> int | None:
    """The response a reply prefers, 0 or 1 in the order shown; None if it does not say.

    The last "Better: N" counts. A reply that is nothing but the number is read as well.
    """
    found = _MARKED.findall(reply)
    if found:
        return int(found[-1]) - 1
    bare = _BARE.fullmatch(reply)
    return int(bare[1]) - 1 if bare else None


@cache
def _template() -> str:
    return (files("app.evaluation") / "prompts" / "compare.txt").read_text(encoding="utf-8").strip()

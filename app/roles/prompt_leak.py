"""Does a response repeat what the refiner was told, instead of answering?

A small refiner sometimes goes on with the request to rewrite. Such a text can pass checkers and
votes, and self-play would then teach the actor to talk like that.
"""

import re
from functools import cache

from app.domain.judgment import ConstraintResult
from app.roles.templates import plain_texts

NOT_THE_REQUEST = ConstraintResult(
    "spar:not_the_request",
    {},
    False,
    "the response repeats the request to rewrite it; it has to be the answer itself",
)
RUN = 6
"""Words in a row that no answer shares with the request by accident."""
_WORD = re.compile(r"[^\W_]+")
_MARKS = re.compile(r"\bverdict:|# (?:review|task)\b|\ba program checked the response\b")
"""What only the refiner's dialogue has, in few words."""
_TEMPLATES = ("judge", "findings", "refine")


def repeats_request(instruction: str, response: str) -> bool:
    """Whether the response has something of our own prompts that the instruction has not.

    That is one of their marks, or `RUN` words in a row.
    """
    asked, said = instruction.casefold(), response.casefold()
    if set(_MARKS.findall(said)) - set(_MARKS.findall(asked)):
        return True
    return not _told().isdisjoint(_runs(said) - _runs(asked))


@cache
def _told() -> frozenset[tuple[str, ...]]:
    texts = (text for name in _TEMPLATES for text in plain_texts(name))
    return frozenset(run for text in texts for run in _runs(text.casefold()))


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text)
    return {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}

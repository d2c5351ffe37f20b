"""The prompt texts: filling them in, and recognising them in a response.

A small refiner sometimes continues the request to rewrite instead of answering it (prompt leak).
Such a text can pass checkers and votes, and self-play would then train the actor to write it.
"""

import re
from functools import cache
from importlib.resources import files

from app.domain.judgment import ConstraintResult
from app.domain.prompt import Prompt

NOT_THE_REQUEST = ConstraintResult(
    "spar:not_the_request",
    {},
    False,
    "the response repeats the request to rewrite it; it has to be the answer itself",
)
RUN = 6
"""An answer does not share this many consecutive words with the request by accident."""
_FIELD = re.compile(r"\{(\w+)\}")
_WORD = re.compile(r"[^\W_]+")
_MARKS = re.compile(r"\bverdict:|# (?:review|task)\b|\ba program checked the response\b")
"""Short texts that only the refiner's dialogue contains."""


@cache
def _template(name: str) -> str:
    return (files("app.roles") / "prompts" / f"{name}.txt").read_text(encoding="utf-8").strip()


def fill(template: str, /, **values: str) -> str:
    """The named template with its `{fields}` filled.

    All fields are replaced in a single pass, so braces inside the values stay as they are.

    Raises:
        KeyError: a field has no value.
    """
    return _FIELD.sub(lambda match: values[match[1]], _template(template))


def transcript(prompt: Prompt) -> str:
    """The conversation as one text: only the instruction if that is the only message."""
    if len(prompt.messages) == 1:
        return prompt.instruction
    return "\n\n".join(f"[{m.role}]\n{m.content}" for m in prompt.messages)


def repeats_request(instruction: str, response: str) -> bool:
    """Whether the response contains text of the prompt templates that the instruction lacks.

    That is one of their marks, or `RUN` consecutive words.
    """
    asked, said = instruction.casefold(), response.casefold()
    if set(_MARKS.findall(said)) - set(_MARKS.findall(asked)):
        return True
    return not _runs_of_templates().isdisjoint(_runs(said) - _runs(asked))


@cache
def _runs_of_templates() -> frozenset[tuple[str, ...]]:
    names = ("judge", "findings", "refine")
    # Splitting at the fields gives texts and field names in turn.
    texts = (text for name in names for text in _FIELD.split(_template(name))[::2])
    return frozenset(run for text in texts for run in _runs(text.casefold()))


def _runs(text: str) -> set[tuple[str, ...]]:
    words = _WORD.findall(text)
    return {tuple(words[start : start + RUN]) for start in range(len(words) - RUN + 1)}

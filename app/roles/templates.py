"""Prompt texts, kept as files and filled in one pass."""

import re
from functools import cache
from importlib.resources import files

from app.domain.prompt import Prompt

_FIELD = re.compile(r"\{(\w+)\}")


@cache
def _template(name: str) -> str:
    return (files("app.roles") / "prompts" / f"{name}.txt").read_text(encoding="utf-8").strip()


def fill(template: str, /, **values: str) -> str:
    """The named template with its `{fields}` filled.

    All fields are replaced in a single pass, so braces inside the values stay as they are.
    Raises KeyError for a field without a value.
    """
    return _FIELD.sub(lambda match: values[match[1]], _template(template))


def plain_texts(template: str, /) -> list[str]:
    """What the named template says around its `{fields}`."""
    return _FIELD.split(_template(template))[::2]  # between them come the names


def transcript(prompt: Prompt) -> str:
    """The conversation as one text: just the instruction where there is nothing else."""
    if len(prompt.messages) == 1:
        return prompt.instruction
    return "\n\n".join(f"[{m.role}]\n{m.content}" for m in prompt.messages)

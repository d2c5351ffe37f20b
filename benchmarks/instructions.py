"""What is asked: instructions that invite long answers, and prompts of a user's file."""

import json
from itertools import product
from pathlib import Path

from app.domain.prompt import Constraint, Prompt

_TOPICS = (
    "how bread is made, from the field to the table",
    "why the sea is salty and rivers are not",
    "what a city could do to become quieter",
    "how to plan a week of walking in the mountains",
    "the difference between weather and climate",
    "what makes a good teacher",
    "how a bicycle stays upright",
    "the work of a lighthouse keeper long ago",
)
_FORMS = (
    "Explain in detail, with examples, {}.",
    "Write a long essay about {}.",
    "Write a talk of several minutes for a class of children about {}.",
    "Write a thorough guide with many numbered points about {}.",
)

LONG_INSTRUCTIONS = tuple(form.format(topic) for form, topic in product(_FORMS, _TOPICS))
"""32 instructions that a model answers at length."""


def read_prompts(file: Path) -> list[Prompt]:
    """The rows of a JSONL file as IFEval's (`prompt`, `instruction_id_list`, `kwargs`).

    A row with a prompt only is a prompt without constraints.
    """
    prompts = []
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        constraints = tuple(
            # The published rows name every argument there is, and null those that do not apply.
            Constraint(name, {key: value for key, value in kwargs.items() if value is not None})
            for name, kwargs in zip(
                row.get("instruction_id_list", ()), row.get("kwargs", ()), strict=True
            )
        )
        prompts.append(Prompt.from_text(row["prompt"], constraints))
    return prompts

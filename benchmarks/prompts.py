"""Prompts of a user's file, for benchmarks that need many."""

import json
from pathlib import Path

from app.domain.prompt import Constraint, Prompt


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

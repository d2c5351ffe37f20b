"""What answers get that need no model: a figure at such a floor says nothing."""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from app.constraints.checker import Checker
from app.evaluation.base import Figure, Item, Outcome, Suite

CONSTANT = "Thank you for your question; I will do my best to give a helpful answer."
ANSWERS: Mapping[str, Callable[[Item], str]] = {
    "empty": lambda _: "",
    "constant": lambda _: CONSTANT,
    "echo": lambda item: item.prompt.instruction,
}
"""Nothing, one sentence whatever was asked, and the prompt itself."""


async def answer_floors(
    suite: Suite, items: Sequence[Item], checker: Checker
) -> Mapping[str, Sequence[Figure]]:
    """The suite's figures for each of `ANSWERS`, by name."""
    floors = {}
    for name, answer in ANSWERS.items():
        outcomes = [(item, Outcome(response=answer(item))) for item in items]
        scores = await asyncio.gather(*(suite.score(*both, checker) for both in outcomes))
        floors[name] = suite.figures(items, scores)
    return floors

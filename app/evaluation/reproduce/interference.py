"""SPaR's synthetic experiment (Figure 4): does what else differs in a pair get in the way?

Two tasks that a program can build and check. For each prompt there are two preference pairs with
the same rejected answer. The *refined* pair's chosen answer is the rejected one, repaired and
otherwise left alone. The *interfering* pair's chosen answer is right as well, and differs in
something that the prompt does not ask about: letter case in one task, the story in the other. Both
kinds teach the same task to the same model for the same number of steps.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from app.evaluation.base import Figure, Score
from app.evaluation.figures import figure

REFINED, INTERFERING = "refined", "interfering"
ARMS = (REFINED, INTERFERING)


@dataclass(frozen=True, slots=True)
class Example:
    """A prompt with its answers. asks: what the task's check needs to know of the prompt."""

    prompt: str
    rejected: str
    refined: str
    interfering: str
    asks: Any

    def pair(self, arm: str) -> Mapping[str, Any]:
        """The pair of an arm, as a row of training data."""
        chosen = self.refined if arm == REFINED else self.interfering
        return {
            "prompt": [{"role": "user", "content": self.prompt}],
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": self.rejected}],
        }


@dataclass(frozen=True, slots=True)
class Task:
    """One of the two tasks.

    make: an example, drawn. check: an answer's metrics, each 0..1. metrics: their names, the one
    that the task is about first. tokens: as long as an answer may be.
    """

    name: str
    make: Callable[[Random], Example]
    check: Callable[[Any, str], Mapping[str, float]]
    metrics: tuple[str, ...]
    tokens: int


def examples(task: Task, count: int, seed: int, without: Sequence[Example] = ()) -> list[Example]:
    """So many different prompts, none of which is among `without`; the same for the same seed."""
    rng = Random(f"{task.name} {seed}")
    seen = {one.prompt for one in without}
    found: list[Example] = []
    while len(found) < count:
        drawn = task.make(rng)
        if drawn.prompt not in seen:
            seen.add(drawn.prompt)
            found.append(drawn)
    return found


def measured(task: Task, some: Sequence[Example], answers: Sequence[str]) -> dict[str, Figure]:
    """The figures of answers to these examples, by metric."""
    checked = [task.check(one.asks, text) for one, text in zip(some, answers, strict=True)]
    found = {}
    for name in task.metrics:
        scores: list[Score] = [{name: (values[name], 1)} for values in checked]
        taken = figure(name, scores)
        if taken is not None:
            found[name] = taken
    return found

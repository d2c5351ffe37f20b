"""IFEval (arXiv 2311.07911) and IFBench (arXiv 2507.02833): prompts with verifiable instructions.

Rows have `key`, `prompt`, `instruction_id_list` and `kwargs`. An instruction is followed strictly
when its checker accepts the response, and loosely when it accepts the response or one of its
versions without first line, last line or asterisks. A prompt is followed when all of its
instructions are. Both rules are those of the reference implementations, and so are the values on
the same text.

`copies`, the share of responses that only repeat the prompt, is an addition. A copy follows many
instructions by accident, so high values with many copies mean little.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.constraints.catalogue import KINDS, given, validate
from app.constraints.checker import COPY_ID, Checker
from app.domain.prompt import Constraint, Prompt
from app.errors import ConfigurationError, InvalidRequest
from app.evaluation.base import Item, Metric, RowOutcome, Score, Suite, Task, unique
from app.evaluation.data import read_rows
from app.evaluation.statistics import average, summary

CONSTANT = "Thank you for your question; I will do my best to give a helpful answer."
ANSWERS: Mapping[str, Callable[[Item], str]] = {
    "empty": lambda _: "",
    "constant": lambda _: CONSTANT,
    "echo": lambda item: item.prompt.instruction,
}
"""An empty answer, a constant sentence, and the prompt itself."""


async def answer_floors(
    suite: Suite, items: Sequence[Item], checker: Checker
) -> Mapping[str, Sequence[Metric]]:
    """The suite's metrics for each of `ANSWERS`, by name."""
    floors = {}
    for name, answer in ANSWERS.items():
        outcomes = [(item, RowOutcome(response=answer(item))) for item in items]
        scores = await asyncio.gather(*(suite.score(*both, checker) for both in outcomes))
        floors[name] = suite.metrics(items, scores)
    return floors


PROMPTS = "prompts_{}"
INSTRUCTIONS = "instructions_{}"
STRICT, LOOSE = "strict", "loose"
COPIES = "copies"
UNCHECKED = "unchecked"
_METRICS = tuple(name.format(how) for how in (STRICT, LOOSE) for name in (PROMPTS, INSTRUCTIONS))
_THINKING_ENDS = "</think>"


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore")

    key: int | str
    prompt: str
    instruction_id_list: list[str] = Field(min_length=1)
    kwargs: list[dict[str, Any]]

    @model_validator(mode="after")
    def _as_many(self) -> Self:
        if len(self.kwargs) != len(self.instruction_id_list):
            raise ValueError("`kwargs` needs one entry for each of `instruction_id_list`")
        return self


class InstructionSuite:
    """One of the two benchmarks.

    left_out: the original's instructions without a checker here. They are skipped, and so are those
    whose arguments no checker accepts (one row of IFEval requires the "letter" #, for which the
    original draws a random letter). A prompt with one of them counts for its other instructions
    only, and `unchecked` is the share of skipped instructions.
    """

    task = Task.ANSWER
    primary = PROMPTS.format(STRICT)

    def __init__(self, name: str, left_out: frozenset[str] = frozenset()) -> None:
        self.name = name
        self._left_out = left_out

    def read(self, file: Path) -> list[Item]:
        """All items.

        Raises:
            ConfigurationError: A row is not valid or has an unknown instruction.
        """
        return unique([(place, self._item(place, row)) for place, row in read_rows(file, _Row)])

    def _item(self, place: str, row: _Row) -> Item:
        # Published rows name every argument there is, and null those that do not apply.
        asked = [
            Constraint(name, given(kwargs))
            for name, kwargs in zip(row.instruction_id_list, row.kwargs, strict=True)
        ]
        for constraint in asked:
            if constraint.id not in KINDS and constraint.id not in self._left_out:
                raise ConfigurationError(f'{place}: unknown instruction "{constraint.id}"')
        checked = tuple(constraint for constraint in asked if _can_be_checked(constraint))
        prompt = Prompt.from_text(row.prompt, checked)
        return Item(str(row.key), prompt, extra={UNCHECKED: len(asked) - len(checked)})

    async def score(self, item: Item, outcome: RowOutcome, checker: Checker) -> Score:
        """Strict and loose, for the prompt, its instructions and their families; copying."""
        text = _answer(outcome.response or "")
        results = await checker.check(item.prompt, text)
        strict = [result.satisfied for result in results if result.id != COPY_ID]
        loose = await _loosely(item.prompt, text, strict, checker)
        copied = any(result.id == COPY_ID for result in results)
        missing = item.extra[UNCHECKED]
        score: dict[str, tuple[float, int]] = {COPIES: (float(copied), 1)}
        score[UNCHECKED] = (float(missing), missing + len(strict))
        for how, followed in ((STRICT, strict), (LOOSE, loose)):
            if not missing:
                score[PROMPTS.format(how)] = (float(all(followed)), 1)
            score |= _by_family(INSTRUCTIONS.format(how), item.prompt.constraints, followed)
        return score

    def metrics(self, items: Sequence[Item], scores: Sequence[Score]) -> list[Metric]:  # noqa: ARG002
        """Prompts and instructions followed, their averages, then families of instructions.

        `average` is that of the two strict values. `average_of_four` is the mean of all four, as
        the column "Avg." of SPaR's Table 1 (arXiv 2412.11605): for LLaMA3-8B-Instruct 77.9, of
        prompts and instructions 77.6 and 84.5 loosely, 70.6 and 78.9 strictly.
        """
        whole = summary(_METRICS, scores)
        averages = [
            average("average", _METRICS[:2], scores),
            average("average_of_four", _METRICS, scores),
        ]
        head = [metric for metric in whole if "/" not in metric.name]
        families = [metric for metric in whole if "/" in metric.name]
        means = [metric for metric in averages if metric is not None]
        return [*head, *means, *summary((COPIES, UNCHECKED), scores), *families]

    async def floors(
        self, items: Sequence[Item], checker: Checker
    ) -> Mapping[str, Sequence[Metric]]:
        """The metrics of `ANSWERS`."""
        return await answer_floors(self, items, checker)


def loose_versions(response: str) -> list[str]:
    """The response, and it without first line, last line, both, each without asterisks too."""
    lines = response.split("\n")
    shorter = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    versions = [response, *shorter]
    versions += [version.replace("*", "") for version in versions]
    return [version for version in dict.fromkeys(versions) if version.strip()]


def _can_be_checked(constraint: Constraint) -> bool:
    try:
        validate([constraint])
    except InvalidRequest:
        return False
    return True


async def _loosely(
    prompt: Prompt, response: str, strict: Sequence[bool], checker: Checker
) -> list[bool]:
    """For each instruction, whether any version of the response follows it."""
    followed = list(strict)
    for version in loose_versions(response)[1:]:
        open_ones = [index for index, done in enumerate(followed) if not done]
        if not open_ones:
            break
        # Without an instruction there is nothing to copy: only the constraints are checked.
        some = Prompt((), tuple(prompt.constraints[index] for index in open_ones))
        for index, result in zip(open_ones, await checker.check(some, version), strict=True):
            followed[index] = result.satisfied
    return followed


def _by_family(
    metric: str, constraints: Sequence[Constraint], followed: Sequence[bool]
) -> dict[str, tuple[float, int]]:
    """The metric over all instructions, and over those of each family ("keywords")."""
    asked: Counter[str] = Counter()
    met: Counter[str] = Counter()
    for constraint, done in zip(constraints, followed, strict=True):
        for name in (metric, f"{metric}/{constraint.id.partition(':')[0]}"):
            asked[name] += 1
            met[name] += done
    return {name: (float(met[name]), asked[name]) for name in asked}


def _answer(response: str) -> str:
    """The response without a reasoning model's thinking, which is not shown to users."""
    thinking, end, answer = response.partition(_THINKING_ENDS)
    return answer.strip() if end else thinking


IFEVAL = InstructionSuite("ifeval")
IFBENCH = InstructionSuite(
    "ifbench", left_out=frozenset({"ratio:stop_words", "words:start_verb"}) - KINDS.keys()
)

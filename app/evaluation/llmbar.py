"""LLMBar (arXiv 2310.07641): pairs of responses with a human preference label.

The refiner is evaluated in two ways. It judges each response by itself, as it does in a search:
`accuracy` is how often the better response gets the higher value (equal values are half right),
and `f1` treats acceptance as the predicted label of the better response. It also compares the two,
in both orders: `pairwise` is how often it prefers the better one, `agreement` how often both orders
prefer the same. An unparsable reply is wrong, and `unreadable` counts it.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from app.constraints.checker import Checker
from app.domain.prompt import Message, Prompt
from app.evaluation.base import Item, Metric, RowOutcome, Score, Task, Verdicts, unique
from app.evaluation.data import read_rows
from app.evaluation.statistics import summary

_FIELD = re.compile(r"\{(\w+)\}")
_MARKED = re.compile(r"\bbetter\W*(?:is\W+)?(?:response\W*)?([12])(?![\w.]*\d)", re.IGNORECASE)
_BARE = re.compile(r"\W*(?:response\W*)?([12])\W*", re.IGNORECASE)


def comparison_messages(instruction: str, first: str, second: str) -> tuple[Message, ...]:
    """The comparison prompt, as a conversation of one message."""
    values = {"instruction": instruction, "first": first, "second": second}
    # In one pass, so that braces in the texts stay as they are.
    return (Message("user", _FIELD.sub(lambda match: values[match[1]], _template())),)


def read_preference(reply: str) -> int | None:
    """The response a reply prefers, 0 or 1 in the order shown; None if it does not say.

    The last "Better: N" counts. A reply of only the number is parsed as well.
    """
    found = _MARKED.findall(reply)
    if found:
        return int(found[-1]) - 1
    bare = _BARE.fullmatch(reply)
    return int(bare[1]) - 1 if bare else None


@cache
def _template() -> str:
    return (files("app.evaluation") / "prompts" / "compare.txt").read_text(encoding="utf-8").strip()


class LabelledRow(BaseModel):
    """One row as it is written; `id` and `subset` may be left out."""

    model_config = ConfigDict(extra="ignore", populate_by_name=True)

    instruction: str = Field(validation_alias=AliasChoices("instruction", "input"))
    output_1: str
    output_2: str
    label: Literal[1, 2]
    id: str | int | None = None
    subset: str | None = None


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """An instruction with a better and a worse response to it."""

    instruction: str
    better: str
    worse: str


def read_pairs(file: Path, limit: int) -> list[LabelledPair]:
    """The first `limit` pairs of a file.

    Raises:
        ConfigurationError: The file cannot be read, or a row is not valid.
    """
    return [_pair(row) for _, row in read_rows(file, LabelledRow, limit)]


def _pair(row: LabelledRow) -> LabelledPair:
    outputs = (row.output_1, row.output_2)
    return LabelledPair(row.instruction, outputs[row.label - 1], outputs[2 - row.label])


def preference_score(better: float, worse: float) -> float:
    """1 when the better response has the higher value, half for equal values, else 0."""
    return 0.5 if better == worse else float(better > worse)


METRICS = ("accuracy", "f1", "pairwise", "agreement", "unreadable")
_PUBLISHED_NAME = "dataset"
"""The stem of all of LLMBar's files, whose folders are named after the subset."""
_COIN: Score = {
    "accuracy": (0.5, 1),
    "f1": (1.0, 2),
    "pairwise": (1.0, 2),
    "agreement": (0.5, 1),
    "unreadable": (0.0, 2),
}
"""The expected score of random verdicts.

Half of the better responses are accepted (1 of F1's 2 true positives, 0.5 false negatives), and
half of the worse ones (0.5 false positives).
"""


class LLMBar:
    """The LLMBar suite; the items' groups are LLMBar's subsets."""

    name = "llmbar"
    task = Task.PREFER
    primary = "accuracy"

    def read(self, file: Path) -> list[Item]:
        """All pairs; a row without `subset` gets the one that its file is named after."""
        stem = file.parent.name if file.stem == _PUBLISHED_NAME else file.stem
        return unique(
            (place, _item(row, position, stem))
            for position, (place, row) in enumerate(read_rows(file, LabelledRow))
        )

    async def score(self, item: Item, outcome: RowOutcome, checker: Checker) -> Score:  # noqa: ARG002
        """The five metrics of a pair, each also for its subset."""
        return _with_subset(item, _scored(item, outcome.verdicts))

    def metrics(self, items: Sequence[Item], scores: Sequence[Score]) -> list[Metric]:  # noqa: ARG002
        """The metrics over all pairs, then by subset."""
        return summary(METRICS, scores)

    async def floors(
        self,
        items: Sequence[Item],
        checker: Checker,  # noqa: ARG002
    ) -> Mapping[str, Sequence[Metric]]:
        """The metrics of random verdicts, of always yes, and of preferring the longer response."""
        judges: Mapping[str, Callable[[Item], Score]] = {
            "coin": lambda _: _COIN,
            "always yes": lambda item: _scored(item, Verdicts((1.0, 1.0), (True, True), (0, 1))),
            "longer": lambda item: _scored(item, _longer(item)),
        }
        return {
            name: self.metrics(items, [_with_subset(item, judge(item)) for item in items])
            for name, judge in judges.items()
        }


def _item(row: LabelledRow, position: int, stem: str) -> Item:
    return Item(
        key=str(position if row.id is None else row.id),
        prompt=Prompt.from_text(row.instruction),
        group=row.subset or stem,
        pair=(row.output_1, row.output_2),
        better=row.label - 1,
    )


def _scored(item: Item, verdicts: Verdicts | None) -> Score:
    better = item.better or 0
    if verdicts is None:
        verdicts = Verdicts((0.0, 0.0), (False, False))
        accuracy = 0.0
    else:
        accuracy = preference_score(verdicts.values[better], verdicts.values[1 - better])
    hit, false_alarm = verdicts.accepted[better], verdicts.accepted[1 - better]
    there, back = verdicts.preferred
    return {
        "accuracy": (accuracy, 1),
        # A ratio of sums over all pairs: 2 TP / (2 TP + FP + FN).
        "f1": (2.0 * hit, 2 * hit + false_alarm + (not hit)),
        "pairwise": (float((there == better) + (back == better)), 2),
        "agreement": (float(there is not None and there == back), 1),
        "unreadable": (float((there is None) + (back is None)), 2),
    }


def _longer(item: Item) -> Verdicts:
    first, second = (len(text) for text in item.pair or ("", ""))
    if first == second:
        return Verdicts((1.0, 1.0), (True, True), (0, 1))
    longer = int(second > first)
    return Verdicts(
        (float(1 - longer), float(longer)), (not longer, bool(longer)), (longer, longer)
    )


def _with_subset(item: Item, score: Score) -> Score:
    return {**score, **{f"{metric}/{item.group}": cell for metric, cell in score.items()}}

"""FollowBench (arXiv 2310.20410): instructions that ask for one thing more at every level, 1 to 5.

Rows have `example_id`, `category`, `source`, `level`, `instruction` and `target`, in one JSON
array as published or as JSON lines; level 0 is the instruction before anything was added and is
left out. `hsr` (hard satisfaction rate) is the share of rows of which everything is satisfied.
`ssr` (soft satisfaction rate) is the mean share of what is satisfied.

A row that a rule can score is scored by it, and counts whole in both, as in the original. The
others are judged by the refiner: accepted or not for `hsr`, its share of yes votes for `ssr`. The
original asks GPT-4 for a verdict on each requirement, so `ssr/judged` and every figure with such
rows in it compares runs of this program, not published figures; `ssr/rule` is independent of the
refiner. The original has no `ssr` for its category "example", here that is the rule's as well.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.constraints.checker import Checker
from app.domain.prompt import Prompt
from app.evaluation.base import Figure, Item, Outcome, Score, Task
from app.evaluation.figures import summary
from app.evaluation.floors import answer_floors
from app.evaluation.followbench_rules import check_target, judged, satisfied
from app.evaluation.keys import unique
from app.evaluation.rows import read_rows

METRICS = ("ssr", "hsr")


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore")

    example_id: int | str
    category: str
    source: str = ""
    level: int = Field(ge=0, le=5)
    instruction: str
    target: str = ""

    @model_validator(mode="after")
    def _readable(self) -> Self:
        check_target(self.category, self.source, self.target)
        return self


class FollowBench:
    """Scores and sums up rows; the items' groups are FollowBench's categories."""

    name = "followbench"
    task = Task.ANSWER
    primary = "ssr"

    def read(self, file: Path) -> list[Item]:
        """All rows of level 1 and above."""
        rows = read_rows(file, _Row)
        return unique((place, _item(row)) for place, row in rows if row.level)

    async def score(self, item: Item, outcome: Outcome, checker: Checker) -> Score:  # noqa: ARG002
        """Soft and hard, each over all rows, for the level, the category and how it was scored.

        An answer that was to be judged and was not has no score.
        """
        row: _Row = item.extra["row"]
        answer = (outcome.response or "").strip()
        followed = satisfied(row.category, row.source, row.level, row.target, answer)
        soft: float | None
        if followed is not None:
            hard, soft = followed, float(followed)
        elif not answer:
            hard, soft = False, 0.0
        elif outcome.accepted is None:
            return {}
        else:
            hard = outcome.accepted
            soft = float(hard) if outcome.value is None else outcome.value
        how = "judged" if item.extra["judged"] else "rule"
        subsets = ("", f"/level {row.level}", f"/{how}", f"/{row.category}")
        values = {"ssr": soft, "hsr": float(hard)}
        return {f"{name}{subset}": (values[name], 1) for name in METRICS for subset in subsets}

    def figures(self, items: Sequence[Item], scores: Sequence[Score]) -> list[Figure]:
        """SSR and HSR, then by category, how they were scored, and level.

        The five levels of an example are one cluster: they ask for nearly the same.
        """
        return summary(METRICS, _by_example(items, scores))

    async def floors(
        self, items: Sequence[Item], checker: Checker
    ) -> Mapping[str, Sequence[Figure]]:
        """Of the rows a rule can score: nothing, one sentence, and the prompt as the answer."""
        ruled = [item for item in items if not item.extra["judged"]]
        return await answer_floors(self, ruled, checker)


def _item(row: _Row) -> Item:
    return Item(
        key=f"{row.category}-{row.example_id}-{row.level}",
        prompt=Prompt.from_text(row.instruction),
        group=row.category,
        extra={"row": row, "judged": judged(row.category, row.source)},
    )


def _by_example(items: Sequence[Item], scores: Sequence[Score]) -> list[Score]:
    examples: dict[tuple[str, int | str], dict[str, tuple[float, int]]] = defaultdict(dict)
    for item, score in zip(items, scores, strict=True):
        example = examples[item.group, item.extra["row"].example_id]
        for metric, (value, units) in score.items():
            sum_so_far, units_so_far = example.get(metric, (0.0, 0))
            example[metric] = (sum_so_far + value, units_so_far + units)
    return list(examples.values())

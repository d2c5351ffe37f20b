"""Definitions shared by the evaluation suites: items, outcomes, scores and metrics."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from pydantic import TypeAdapter

from app.constraints.checker import Checker
from app.domain.prompt import Prompt
from app.domain.search import SearchOptions
from app.errors import ConfigurationError

SHAPE = ("n", "branch", "beam", "depth", "votes", "accept_threshold", "early_stop")
"""The search options that always have a value; the quick verdict is optional."""


def search_shape(*names: str, **given: Any) -> dict[str, Any]:
    """The named search options, with defaults for those not given; and all given (not None) ones.

    Stored with a run, so that it stays known when defaults change.
    """
    defaults = SearchOptions()
    shape = {name: getattr(defaults, name) for name in names}
    return shape | {name: value for name, value in given.items() if value is not None}


class Task(StrEnum):
    """What is requested for an item."""

    ANSWER = "answer"
    """A response to the prompt, by any search mode."""
    PREFER = "prefer"
    """Which of two responses to the prompt is better."""


@dataclass(frozen=True, slots=True)
class Item:
    """One row of a suite's file.

    key: unique in the file, and the same whenever the file is read: results are stored under it.
    group: the subset that metrics are also given for ("natural", a type of instruction); may be "".
    pair: of a `PREFER` item the two responses; `better` (0 or 1) is the label.
    extra: data private to the suite, except for `judged`. Where that is true, no program can
        score the answer: the refiner judges it, into the outcome's `accepted` and `value`.
    """

    key: str
    prompt: Prompt
    group: str = ""
    pair: tuple[str, str] | None = None
    better: int | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """A judge's verdicts on a pair.

    values: each response judged by itself, as shares of yes votes (0..1), in the pair's order.
    accepted: whether each was accepted.
    preferred: the response preferred (0 or 1, in the pair's order) in a comparison of the two, in
        the pair's order and in reverse order; None for an unparsable reply.
    """

    values: tuple[float, float]
    accepted: tuple[bool, bool]
    preferred: tuple[int | None, int | None] = (None, None)


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """The outcome of an item: a response or verdicts, and their cost.

    accepted, value: the refiner's judgment of the response (value: its share of yes votes, 0..1).
    search_id: the stored search, if there is one. seconds: wall-clock time of the request.
    No response, or no verdicts, is a failed row: it scores nothing.
    """

    response: str | None = None
    verdicts: Verdicts | None = None
    accepted: bool | None = None
    search_id: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    seconds: float = 0.0
    value: float | None = None


Score = Mapping[str, tuple[float, int]]
"""An item's score by metric: the sum over the item's units (each 0..1), and how many units.

A prompt with 3 instructions of which 2 are followed: `{"instructions": (2.0, 3), "prompts": (0.0,
1)}`. A metric that does not apply to the item is left out. The mean over items is the ratio of
sums. A subset of a metric is a metric of its own, named after a slash: `"instructions/length"`.
"""


@dataclass(frozen=True, slots=True)
class Metric:
    """One number of a report, with its 95 % interval.

    name: the metric, after a slash the subset ("accuracy/natural"). value, low, high: 0..1.
    n: units it was taken over.
    """

    name: str
    value: float
    low: float
    high: float
    n: int


class Suite(Protocol):
    """A benchmark: reads its file, scores outcomes, and aggregates the scores."""

    name: str
    task: Task
    primary: str
    """The metric that runs are compared by first."""

    def read(self, file: Path) -> list[Item]:
        """All items of a file.

        Raises:
            ConfigurationError: A row is not valid; the text names file and line.
        """
        ...

    async def score(self, item: Item, outcome: RowOutcome, checker: Checker) -> Score:
        """The outcome's score."""
        ...

    def metrics(self, items: Sequence[Item], scores: Sequence[Score]) -> list[Metric]:
        """The metrics of a run, most important first; `scores` are the items', in their order."""
        ...

    async def floors(
        self, items: Sequence[Item], checker: Checker
    ) -> Mapping[str, Sequence[Metric]]:
        """The same metrics for answers that need no model ("empty", "echo"), by name."""
        ...


def unique(placed: Iterable[tuple[str, Item]]) -> list[Item]:
    """The items, given with their places.

    Raises:
        ConfigurationError: Two items have the same key.
    """
    items: dict[str, Item] = {}
    for place, item in placed:
        if item.key in items:
            raise ConfigurationError(f'{place}: the key "{item.key}" occurs twice')
        items[item.key] = item
    return list(items.values())


_OUTCOME = TypeAdapter(RowOutcome)

NO_ANSWER = RowOutcome(response="", accepted=False, value=0.0)
"""The outcome of a row that could not be answered.

It is scored, because leaving failed rows out would favour models that fail on difficult ones.
"""


def outcome_values(outcome: RowOutcome) -> dict[str, Any]:
    """An outcome as JSON-able values."""
    values: dict[str, Any] = _OUTCOME.dump_python(outcome, mode="json")
    return values

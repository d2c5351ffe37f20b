"""Runs an evaluation: asks about every row that has no result yet, scores it, and hands it on."""

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from app.concurrency import bounded_map
from app.constraints.checker import Checker
from app.domain.evaluation import EvaluatedRow
from app.evaluation.base import NO_ANSWER, Item, RowOutcome, Suite, Task, outcome_values
from app.evaluation.http import RowRefused


class Ask(Protocol):
    """Whoever gets an item's outcome, such as `Asker.ask`."""

    async def __call__(self, item: Item, task: Task) -> RowOutcome:
        """The outcome. Raises `RowRefused` where there can be none; all else ends the run."""
        ...


class Keep(Protocol):
    """Whoever keeps results."""

    async def __call__(self, row: EvaluatedRow, seconds: float) -> None:
        """Keep a row, and the time in seconds that the run has taken so far."""
        ...


@dataclass(frozen=True, slots=True)
class Work:
    """What a run needs: the benchmark, whoever answers, whoever checks, whoever keeps.

    at_once: rows worked on at the same time.
    """

    suite: Suite
    ask: Ask
    checker: Checker
    keep: Keep
    at_once: int


async def run(
    work: Work,
    items: Sequence[Item],
    done: Collection[str] = (),
    *,
    seconds: float = 0.0,
    on_row: Callable[[EvaluatedRow], None] = lambda _: None,
) -> None:
    """Give every item that is not in `done` its result; rows end in any order.

    seconds: how long earlier parts of this run took. The first error ends the run: rows under way
    are given up, those kept stay.

    Raises what `Work.ask` and `Work.keep` raise, except `RowRefused`: such a row is kept with its
    error, and counts as `NO_ANSWER`.
    """
    waiting = [(at, item) for at, item in enumerate(items) if item.key not in done]
    started = time.monotonic()

    async def give(place: tuple[int, Item]) -> None:
        row = await _evaluate(work, *place)
        await work.keep(row, seconds + time.monotonic() - started)
        on_row(row)

    await bounded_map(waiting, give, work.at_once)


async def _evaluate(work: Work, position: int, item: Item) -> EvaluatedRow:
    outcome, error = NO_ANSWER, None
    try:
        outcome = await work.ask(item, work.suite.task)
    except RowRefused as refused:
        error = str(refused)
    score = await work.suite.score(item, outcome, work.checker)
    return EvaluatedRow(
        key=item.key,
        position=position,
        group=item.group,
        outcome=outcome_values(outcome) if error is None else None,
        score={name: (float(total), units) for name, (total, units) in score.items()},
        error=error,
    )

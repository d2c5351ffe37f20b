"""Runs an evaluation: requests, scores and stores every row that has no result yet."""

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
    """Requests an item's outcome, such as `Asker.ask`."""

    async def __call__(self, item: Item, task: Task) -> RowOutcome:
        """The outcome.

        Raises:
            RowRefused: There can be none; any other error ends the run.
        """
        ...


class Keep(Protocol):
    """Stores results."""

    async def __call__(self, row: EvaluatedRow, seconds: float) -> None:
        """Store a row, and the time in seconds that the run has taken so far."""
        ...


@dataclass(frozen=True, slots=True)
class Evaluator:
    """What a run needs: the benchmark, and functions that request, check and store.

    at_once: rows in flight.
    """

    suite: Suite
    ask: Ask
    checker: Checker
    keep: Keep
    at_once: int


async def run(
    evaluator: Evaluator,
    items: Sequence[Item],
    done: Collection[str] = (),
    *,
    seconds: float = 0.0,
    on_row: Callable[[EvaluatedRow], None] = lambda _: None,
) -> None:
    """Evaluate every item that is not in `done`; rows end in any order.

    seconds: the duration of earlier parts of this run. A row with `RowRefused` is stored with its
    error, and counts as `NO_ANSWER`.

    Raises:
        Exception: Any other error of `evaluator.ask` or `evaluator.keep`, after the rows in flight
            have been cancelled; stored rows are kept.
    """
    waiting = [(at, item) for at, item in enumerate(items) if item.key not in done]
    started = time.monotonic()

    async def give(place: tuple[int, Item]) -> None:
        row = await _evaluate(evaluator, *place)
        await evaluator.keep(row, seconds + time.monotonic() - started)
        on_row(row)

    await bounded_map(waiting, give, evaluator.at_once)


async def _evaluate(evaluator: Evaluator, position: int, item: Item) -> EvaluatedRow:
    outcome, error = NO_ANSWER, None
    try:
        outcome = await evaluator.ask(item, evaluator.suite.task)
    except RowRefused as refused:
        error = str(refused)
    score = await evaluator.suite.score(item, outcome, evaluator.checker)
    return EvaluatedRow(
        key=item.key,
        position=position,
        group=item.group,
        outcome=outcome_values(outcome) if error is None else None,
        score={name: (float(total), units) for name, (total, units) in score.items()},
        error=error,
    )

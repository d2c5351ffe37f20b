"""A run gives every row its result once, and ends on an error of the server."""

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from app.concurrency import gather_or_cancel
from app.constraints.checker import Checker
from app.domain.evaluation import EvaluatedRow
from app.domain.prompt import Prompt
from app.evaluation.base import Item, Metric, RowOutcome, Score, Task, outcome_values
from app.evaluation.http import RowRefused, ServerGone
from app.evaluation.runner import Ask, Evaluator, run

ITEMS = [Item(str(number), Prompt.from_text(f"prompt {number}"), "even") for number in range(6)]


class Lengths:
    """A benchmark in which an answer is right when it says something."""

    name = "lengths"
    task = Task.ANSWER
    primary = "said"

    def read(self, file: Path) -> list[Item]:
        """The same items, whatever the file."""
        return ITEMS

    async def score(self, item: Item, outcome: RowOutcome, checker: Checker) -> Score:
        """Whether something was said."""
        return {"said": (float(bool(outcome.response)), 1)}

    def metrics(self, items: Sequence[Item], scores: Sequence[Score]) -> list[Metric]:
        """None."""
        return []

    async def floors(
        self, items: Sequence[Item], checker: Checker
    ) -> Mapping[str, Sequence[Metric]]:
        """None."""
        return {}


class Kept:
    """Keeps rows in memory."""

    def __init__(self) -> None:
        self.rows: list[EvaluatedRow] = []
        self.seconds: list[float] = []

    async def __call__(self, row: EvaluatedRow, seconds: float) -> None:
        self.rows.append(row)
        self.seconds.append(seconds)

    @property
    def keys(self) -> list[str]:
        """Keys of the rows, sorted."""
        return sorted(row.key for row in self.rows)


async def echo(item: Item, task: Task) -> RowOutcome:
    """The prompt as the answer."""
    return RowOutcome(response=item.prompt.instruction, completion_tokens=2)


def work(ask: Ask, kept: Kept, at_once: int = 2) -> Evaluator:
    return Evaluator(Lengths(), ask, Checker(1, 1.0), kept, at_once)


async def test_every_row_gets_its_result() -> None:
    kept, seen = Kept(), list[Any]()
    await run(work(echo, kept), ITEMS, on_row=seen.append)
    assert kept.keys == [item.key for item in ITEMS]
    assert seen == kept.rows
    first = next(row for row in kept.rows if row.key == "0")
    assert (first.position, first.group, first.score) == (0, "even", {"said": (1.0, 1)})
    assert first.outcome == outcome_values(await echo(ITEMS[0], Task.ANSWER))


async def test_rows_with_a_result_are_not_requested_again() -> None:
    kept = Kept()
    await run(work(echo, kept), ITEMS, {"0", "1", "4"}, seconds=100.0)
    assert kept.keys == ["2", "3", "5"]
    assert sorted(row.position for row in kept.rows) == [2, 3, 5]
    assert min(kept.seconds) >= 100.0


async def test_a_row_that_cannot_be_answered_is_kept_and_counts_as_wrong() -> None:
    async def ask(item: Item, task: Task) -> RowOutcome:
        if item.key == "3":
            raise RowRefused("the prompt is too long")
        return await echo(item, task)

    kept = Kept()
    await run(work(ask, kept), ITEMS)
    (failed,) = [row for row in kept.rows if row.error is not None]
    assert (failed.key, failed.outcome, failed.error) == ("3", None, "the prompt is too long")
    assert failed.score == {"said": (0.0, 1)}
    assert len(kept.rows) == len(ITEMS)


async def test_one_rejected_request_fails_the_row() -> None:
    async def refuse() -> None:
        raise RowRefused("too long")

    async def ask(item: Item, task: Task) -> RowOutcome:
        await gather_or_cancel(refuse(), refuse())
        raise AssertionError

    kept = Kept()
    await run(work(ask, kept), ITEMS[:1])
    assert [row.error for row in kept.rows] == ["too long"]


async def test_server_gone_ends_the_run_and_keeps_stored_rows() -> None:
    async def ask(item: Item, task: Task) -> RowOutcome:
        if item.key == "3":
            raise ServerGone("gone")
        if item.key > "3":
            await asyncio.Event().wait()
        return await echo(item, task)

    kept = Kept()
    with pytest.raises(ServerGone, match="gone"):
        await run(work(ask, kept), ITEMS)
    assert set(kept.keys) <= {"0", "1", "2"}
    await run(work(echo, kept), ITEMS, set(kept.keys))
    assert kept.keys == [item.key for item in ITEMS]


async def test_rows_in_flight_are_bounded() -> None:
    running, peak = 0, 0

    async def ask(item: Item, task: Task) -> RowOutcome:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.001)
        running -= 1
        return await echo(item, task)

    await run(work(ask, Kept(), at_once=3), ITEMS)
    assert peak == 3


async def test_a_cancelled_run_ends_as_cancelled() -> None:
    begun = asyncio.Event()

    async def ask(item: Item, task: Task) -> RowOutcome:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError

    running = asyncio.create_task(run(work(ask, Kept()), ITEMS))
    await begun.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

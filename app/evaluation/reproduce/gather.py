"""Asks about every item that the journal has not, so many at a time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

from app.evaluation.base import Item
from app.evaluation.http import RowRefused
from app.evaluation.reproduce.journal import Journal, Row
from app.evaluation.runner import first_error

Ask = Callable[[Item], Awaitable[Row]]
"""What is found of an item. Raises `RowRefused` where nothing can be."""

ERROR = "error"


async def gather(
    journal: Journal,
    items: Sequence[Item],
    ask: Ask,
    *,
    at_once: int,
    on_row: Callable[[], None] = lambda: None,
) -> dict[str, Row]:
    """What was found of each item, by key, in the items' order; refused ones are left out.

    The first error ends it, and raises; items kept by then stay kept.
    """
    waiting = iter([item for item in items if item.key not in journal.rows])

    async def take(some: Iterator[Item]) -> None:
        for item in some:
            journal.add(item.key, await _asked(ask, item))
            on_row()

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(take(waiting))
    except BaseExceptionGroup as errors:
        # They have one cause, mostly: the server is gone for all of them.
        raise first_error(errors) from None
    found = {item.key: journal.rows[item.key] for item in items}
    return {key: row for key, row in found.items() if ERROR not in row}


async def _asked(ask: Ask, item: Item) -> Row:
    row: Row = {}
    try:
        row = await ask(item)
    except* RowRefused as refused:
        row = {ERROR: str(first_error(refused))}
    return row

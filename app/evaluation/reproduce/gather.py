"""Asks about every item that the journal has not, so many at a time."""

from collections.abc import Awaitable, Callable, Sequence

from app.evaluation.base import Item
from app.evaluation.http import RowRefused
from app.evaluation.reproduce.journal import Journal, Row
from app.evaluation.together import first_error, together

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

    async def find(item: Item) -> None:
        journal.add(item.key, await _asked(ask, item))
        on_row()

    await together([item for item in items if item.key not in journal.rows], find, at_once)
    found = {item.key: journal.rows[item.key] for item in items}
    return {key: row for key, row in found.items() if ERROR not in row}


async def _asked(ask: Ask, item: Item) -> Row:
    row: Row = {}
    try:
        row = await ask(item)
    except* RowRefused as refused:
        row = {ERROR: str(first_error(refused))}
    return row

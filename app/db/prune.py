"""Deletes old searches in small batches, so that other transactions wait only briefly."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, delete, exists, func, select
from ulid import ULID

from app.db.session import Database, lock_rows
from app.db.tables import FeedbackRow, SampleRow, SearchRow

BATCH = 500
"""Searches per transaction: a few thousand rows, deleted in well under a second."""


@dataclass(frozen=True, slots=True)
class Old:
    """Which searches to delete: unreferenced ones that began before `before`.

    keep_accepted: keep searches whose answer was accepted.
    """

    before: datetime
    keep_accepted: bool = False

    def conditions(self) -> list[ColumnElement[bool]]:
        """The conditions of a query for them."""
        referring = (FeedbackRow.search_id, SampleRow.search_id)
        unused = [~exists().where(column == SearchRow.id) for column in referring]
        rejected = [SearchRow.accepted.is_not(True)] if self.keep_accepted else []
        # An id is a ULID, which begins with the time: the primary key orders by time.
        return [SearchRow.id < _first_id(self.before), *unused, *rejected]


async def count(database: Database, old: Old) -> int:
    """The number of searches that would be deleted."""
    async with database.session() as session:
        matching = select(func.count()).select_from(SearchRow).where(*old.conditions())
        return await session.scalar(matching) or 0


async def prune(database: Database, old: Old, batch: int = BATCH) -> AsyncGenerator[int, None]:
    """Delete old searches with their trees and votes; yields the number after each batch.

    Each batch is a transaction: an interrupted run leaves the rest to the next one. Searches with
    feedback, and those that training samples come from, are kept.
    """
    after = ""
    while True:
        async with database.session() as session:
            found = select(SearchRow.id).where(SearchRow.id > after, *old.conditions())
            ids = list(await session.scalars(found.order_by(SearchRow.id).limit(batch)))
        if not ids:
            return
        after = ids[-1]
        yield await _delete(database, old, ids)


async def _delete(database: Database, old: Old, ids: list[str]) -> int:
    """Delete those still unreferenced, with nodes and votes; returns their number."""
    async with database.session() as session:
        await lock_rows(session, select(SearchRow.id).where(SearchRow.id.in_(ids)))
        deleted = await session.execute(
            delete(SearchRow)
            .where(SearchRow.id.in_(ids), *old.conditions())
            .returning(SearchRow.id)
            .execution_options(synchronize_session=False)
        )
        return len(deleted.all())


def _first_id(moment: datetime) -> str:
    """The smallest id of a search that began at this moment."""
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    milliseconds = (moment - epoch) // timedelta(milliseconds=1)
    return str(ULID.from_bytes(max(milliseconds, 0).to_bytes(6, "big") + bytes(10)))

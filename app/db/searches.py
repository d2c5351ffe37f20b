"""Stored searches."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Select, func, insert, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only
from ulid import ULID

from app.db.dialect import insert_new
from app.db.rows import node_rows, search_row, stored_search, stored_summary, vote_rows
from app.db.stored import StoredSearch, StoredSummary
from app.db.tables import NodeRow, SearchRow, VoteRow
from app.domain.budget import StopReason
from app.domain.options import Mode
from app.search.base import SearchResult

_SUMMARY = load_only(
    SearchRow.id,
    SearchRow.created_at,
    SearchRow.mode,
    SearchRow.prompt,
    SearchRow.response,
    SearchRow.accepted,
    SearchRow.value,
    SearchRow.stop_reason,
    SearchRow.actor_version,
    SearchRow.refiner_version,
    SearchRow.prompt_tokens,
    SearchRow.completion_tokens,
    SearchRow.responses,
    SearchRow.refinements,
    SearchRow.judgments,
    SearchRow.votes,
    SearchRow.nodes,
    SearchRow.timing_ms,
    raiseload=True,
)


_TIME_DIGITS = 10
"""Of a ULID's digits the first ones are its time, and so the primary key orders by time."""


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """Which searches are wanted: all that is given must hold, None means any.

    `actor` and `refiner` are versions. `text` occurs in the prompt or in the answer; whether
    upper and lower case differ beyond ASCII is up to the database.
    """

    mode: Mode | None = None
    accepted: bool | None = None
    stop_reason: StopReason | None = None
    actor: int | None = None
    refiner: int | None = None
    text: str | None = None

    def narrow(self, query: Select[Any]) -> Select[Any]:
        """The query for no others than these searches."""
        wanted = {
            SearchRow.mode: self.mode,
            SearchRow.accepted: self.accepted,
            SearchRow.stop_reason: self.stop_reason,
            SearchRow.actor_version: self.actor,
            SearchRow.refiner_version: self.refiner,
        }
        for column, value in wanted.items():
            if value is not None:
                query = query.where(column == value)
        if self.text:
            texts = (SearchRow.prompt, SearchRow.response)
            occurs = [text.icontains(self.text, autoescape=True) for text in texts]
            query = query.where(or_(*occurs))
        return query


ALL_SEARCHES = SearchFilter()


def began_at(result: SearchResult) -> datetime:
    """When a search that ends now began (UTC)."""
    return datetime.now(UTC) - timedelta(milliseconds=result.timing_ms)


class SearchRepository:
    """Writes and reads searches inside the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, result: SearchResult, *, created_at: datetime | None = None) -> None:
        """Store a finished search with its tree and votes, unless it is stored already.

        `created_at` is when the search began; left out, the search is taken to end now.
        """
        row = search_row(result, created_at or began_at(result))
        # A connection that breaks during a commit leaves open whether it happened; the search is
        # then written again.
        if not await insert_new(self._session, SearchRow, [row], known_by=["id"]):
            return
        await self._session.execute(insert(NodeRow), node_rows(result))
        if votes := vote_rows(result):
            await self._session.execute(insert(VoteRow), votes)

    async def page(
        self, limit: int, cursor: str | None = None, wanted: SearchFilter = ALL_SEARCHES
    ) -> tuple[list[StoredSummary], str | None]:
        """Up to `limit` of the wanted searches, newest first, and the cursor of the next page.

        The cursor is None on the last page. Searches that arrive between two pages neither
        repeat nor hide any other.
        """
        query = wanted.narrow(select(SearchRow)).options(_SUMMARY).order_by(SearchRow.id.desc())
        if cursor is not None:
            query = query.where(SearchRow.id < cursor)
        rows = (await self._session.scalars(query.limit(limit + 1))).all()
        page = [stored_summary(row) for row in rows[:limit]]
        return page, page[-1].id if len(rows) > limit else None

    async def judged_since(self, moment: datetime) -> tuple[int, int]:
        """How many searches since then had a judged answer, and of how many it was accepted."""
        query = select(
            func.count(SearchRow.accepted), func.count().filter(SearchRow.accepted.is_(True))
        ).where(SearchRow.id >= str(ULID.from_datetime(moment))[:_TIME_DIGITS])
        judged, accepted = (await self._session.execute(query)).one()
        return judged, accepted

    async def get(self, search_id: str) -> StoredSearch | None:
        """One search with its whole tree, or None when there is none of that id."""
        row = await self._session.get(SearchRow, search_id)
        if row is None:
            return None
        nodes = await self._session.scalars(
            select(NodeRow).where(NodeRow.search_id == search_id).order_by(NodeRow.node_id)
        )
        votes = await self._session.scalars(
            select(VoteRow)
            .where(VoteRow.search_id == search_id)
            .order_by(VoteRow.node_id, VoteRow.position)
        )
        return stored_search(row, nodes, votes)

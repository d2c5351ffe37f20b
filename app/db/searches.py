"""Stored searches."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import load_only

from app.db.rows import node_rows, search_row, stored_search, stored_summary, vote_rows
from app.db.stored import StoredSearch, StoredSummary
from app.db.tables import NodeRow, SearchRow, VoteRow
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


def began_at(result: SearchResult) -> datetime:
    """When a search that ends now began (UTC)."""
    return datetime.now(UTC) - timedelta(milliseconds=result.timing_ms)


class SearchRepository:
    """Writes and reads searches inside the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, result: SearchResult, *, created_at: datetime | None = None) -> None:
        """Store a finished search with its tree and votes.

        `created_at` is when the search began; left out, the search is taken to end now.
        """
        began = created_at or began_at(result)
        await self._session.execute(insert(SearchRow), [search_row(result, began)])
        await self._session.execute(insert(NodeRow), node_rows(result))
        if votes := vote_rows(result):
            await self._session.execute(insert(VoteRow), votes)

    async def page(
        self, limit: int, cursor: str | None = None
    ) -> tuple[list[StoredSummary], str | None]:
        """Up to `limit` searches, newest first, and the cursor of the next page.

        The cursor is None on the last page. Searches that arrive between two pages neither
        repeat nor hide any other.
        """
        query = select(SearchRow).options(_SUMMARY).order_by(SearchRow.id.desc())
        if cursor is not None:
            query = query.where(SearchRow.id < cursor)
        rows = (await self._session.scalars(query.limit(limit + 1))).all()
        page = [stored_summary(row) for row in rows[:limit]]
        return page, page[-1].id if len(rows) > limit else None

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

"""What people said of answers."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from ulid import ULID

from app.db.redact import NOT_KEPT
from app.db.tables import FeedbackRow, SearchRow
from app.domain.checkpoint import Versions


@dataclass(frozen=True, slots=True)
class Feedback:
    """A rating (-1 or 1), a better answer, or both, on the answer of a search."""

    search_id: str
    rating: int | None = None
    better: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class BetterAnswer:
    """A search's answer, and what a person would rather have read."""

    feedback_id: str
    search_id: str
    messages: Any
    response: str
    better: str
    versions: Versions


class FeedbackRepository:
    """Writes and reads feedback inside the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, feedback: Feedback) -> str | None:
        """Store feedback and return its id; None when there is no such search."""
        known = select(SearchRow.id).where(SearchRow.id == feedback.search_id)
        if await self._session.scalar(known) is None:
            return None
        feedback_id = str(ULID())
        await self._session.execute(
            insert(FeedbackRow).values(
                id=feedback_id,
                created_at=datetime.now(UTC),
                search_id=feedback.search_id,
                rating=feedback.rating,
                better=feedback.better,
                comment=feedback.comment,
                iteration_id=None,
            )
        )
        return feedback_id

    async def better_answers(self, iteration_id: str) -> list[BetterAnswer]:
        """The better answers that no iteration but this one has used, oldest first."""
        query = (
            select(FeedbackRow, SearchRow)
            .join(SearchRow, SearchRow.id == FeedbackRow.search_id)
            .where(
                FeedbackRow.better.is_not(None),
                SearchRow.prompt != NOT_KEPT,
                FeedbackRow.iteration_id.is_(None) | (FeedbackRow.iteration_id == iteration_id),
            )
            .order_by(FeedbackRow.id)
        )
        return [
            BetterAnswer(
                feedback_id=feedback.id,
                search_id=search.id,
                messages=search.messages,
                response=search.response,
                better=feedback.better or "",
                versions=Versions(search.actor_version, search.refiner_version),
            )
            for feedback, search in (await self._session.execute(query))
        ]

    async def mark_used(self, feedback_ids: list[str], iteration_id: str) -> None:
        """Record which iteration learns from these."""
        await self._session.execute(
            update(FeedbackRow)
            .where(FeedbackRow.id.in_(feedback_ids))
            .values(iteration_id=iteration_id)
        )

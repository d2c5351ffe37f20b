"""The prompt pool of self-play, the conversations of a bootstrap, and feedback."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from ulid import ULID

from app.db.redact import NOT_KEPT
from app.db.session import insert_new, newest_rows
from app.db.tables import Base, ConversationRow, FeedbackRow, PromptRow, SearchRow, from_row
from app.domain.checkpoint import Role, Versions
from app.domain.iteration import Source
from app.domain.prompt import Constraint, Message, Prompt

# Every SQLite build takes at least 999 values in one statement.
_DIGESTS_PER_QUERY = 500


@dataclass(frozen=True, slots=True)
class PooledPrompt:
    """One prompt of the pool."""

    id: str
    prompt: Prompt
    source: Source


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation to train a role on: the assistant's messages are the targets."""

    role: Role
    messages: tuple[Message, ...]


class PromptRepository:
    """Writes and reads prompts inside the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, prompts: Sequence[Prompt], source: Source) -> int:
        """Add prompts to the pool; gives the number of new ones.

        Texts that differ only in case and spacing are duplicates.
        """
        rows = {
            (digest := _text_digest(prompt)): {
                "source": source,
                "digest": digest,
                "messages": _messages(prompt.messages),
                "prompt": prompt.instruction,
                "constraints": [{"id": c.id, "kwargs": c.kwargs} for c in prompt.constraints],
                "last_used": None,
            }
            for prompt in reversed(prompts)
        }
        return await self._add_new(PromptRow, dict(reversed(rows.items())))

    async def add_conversations(self, conversations: Sequence[Conversation]) -> int:
        """Store conversations for a bootstrap; gives the number of new ones."""
        rows = {
            (digest := _digest(one.role, *(m.role + m.content for m in one.messages))): {
                "role": one.role,
                "digest": digest,
                "messages": _messages(one.messages),
            }
            for one in reversed(conversations)
        }
        return await self._add_new(ConversationRow, dict(reversed(rows.items())))

    async def count(self) -> dict[Source, int]:
        """The number of prompts of each source."""
        query = select(PromptRow.source, func.count()).group_by(PromptRow.source)
        return dict((await self._session.execute(query)).all())

    async def page(
        self, limit: int, cursor: str | None = None
    ) -> tuple[list[PooledPrompt], str | None]:
        """Up to `limit` prompts, newest first, and the cursor of the next page, if any."""
        rows, following = await newest_rows(self._session, PromptRow, limit, cursor)
        return [_pooled(row) for row in rows], following

    async def least_used(self, source: Source, limit: int) -> list[PooledPrompt]:
        """Up to `limit` prompts of a source: unused ones, then those used longest ago."""
        # Two queries on an index each: databases disagree on the position of NULL in an order.
        of_source = select(PromptRow).where(PromptRow.source == source)
        unused = of_source.where(PromptRow.last_used.is_(None)).order_by(PromptRow.id)
        found = list(await self._session.scalars(unused.limit(limit)))
        if len(found) < limit:
            used = of_source.where(PromptRow.last_used.is_not(None))
            oldest = used.order_by(PromptRow.last_used, PromptRow.id).limit(limit - len(found))
            found += await self._session.scalars(oldest)
        return [_pooled(row) for row in found]

    async def mark_used(self, prompts: Sequence[Prompt], iteration_id: str) -> None:
        """Record that an iteration uses these prompts."""
        digests = [_text_digest(prompt) for prompt in prompts]
        for start in range(0, len(digests), _DIGESTS_PER_QUERY):
            some = digests[start : start + _DIGESTS_PER_QUERY]
            await self._session.execute(
                update(PromptRow).where(PromptRow.digest.in_(some)).values(last_used=iteration_id)
            )

    async def new_among(self, prompts: Sequence[Prompt]) -> list[Prompt]:
        """The prompts whose text is not in the pool, of any source."""
        digests = [_text_digest(prompt) for prompt in prompts]
        known: set[str] = set()
        for start in range(0, len(digests), _DIGESTS_PER_QUERY):
            some = digests[start : start + _DIGESTS_PER_QUERY]
            known |= set(
                await self._session.scalars(
                    select(PromptRow.digest).where(PromptRow.digest.in_(some))
                )
            )
        return [one for one, digest in zip(prompts, digests, strict=True) if digest not in known]

    async def conversations(self, role: Role) -> list[Conversation]:
        """Every conversation of a role, oldest first."""
        query = (
            select(ConversationRow).where(ConversationRow.role == role).order_by(ConversationRow.id)
        )
        return [
            Conversation(row.role, tuple(Message(**message) for message in row.messages))
            for row in await self._session.scalars(query)
        ]

    async def _add_new(self, table: type[Base], rows: dict[str, dict[str, Any]]) -> int:
        """Insert rows by digest, except those that are known; in the order given."""
        if not rows:
            return 0
        now = datetime.now(UTC)
        values = [
            {"id": identifier, "created_at": now, **row}
            for identifier, row in zip(_ordered_ids(len(rows)), rows.values(), strict=True)
        ]
        # One statement without a SELECT: other processes may add the same prompt concurrently.
        return await insert_new(self._session, table, values, known_by=["digest"])


def _text_digest(prompt: Prompt) -> str:
    return _digest(*(message.content for message in prompt.messages))


def _ordered_ids(count: int) -> Iterable[str]:
    """ULIDs in ascending order; those of one millisecond are otherwise in random order."""
    return sorted(str(ULID()) for _ in range(count))


def _digest(*texts: str) -> str:
    """Equal for texts that differ only in case and spacing."""
    plain = "\x00".join(" ".join(text.casefold().split()) for text in texts)
    return sha256(plain.encode("utf-8", "surrogatepass")).hexdigest()


def _messages(messages: Iterable[Message]) -> list[dict[str, str]]:
    return [asdict(message) for message in messages]


def _pooled(row: PromptRow) -> PooledPrompt:
    messages = tuple(Message(**message) for message in row.messages)
    constraints = tuple(Constraint(**constraint) for constraint in row.constraints)
    return PooledPrompt(row.id, Prompt(messages, constraints), row.source)


@dataclass(frozen=True, slots=True)
class Feedback:
    """A rating (-1 or 1), a better answer, or both, on the answer of a search."""

    search_id: str
    rating: int | None = None
    better: str | None = None
    comment: str | None = None


@dataclass(frozen=True, slots=True)
class BetterAnswer:
    """A search's response, and the better answer that a user gave."""

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
        """Store feedback and return its id; None if there is no such search."""
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
        """The better answers that no other iteration has used, oldest first."""
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
            from_row(
                BetterAnswer,
                search,
                feedback_id=feedback.id,
                search_id=search.id,
                better=feedback.better or "",
            )
            for feedback, search in (await self._session.execute(query))
        ]

    async def mark_used(self, feedback_ids: list[str], iteration_id: str) -> None:
        """Record the iteration that trains on these."""
        await self._session.execute(
            update(FeedbackRow)
            .where(FeedbackRow.id.in_(feedback_ids))
            .values(iteration_id=iteration_id)
        )

"""Who did what with the admin door."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from ulid import ULID

from app.db.tables import AuditRow

LONGEST_ACTION = 500


@dataclass(frozen=True, slots=True)
class Action:
    """What somebody is about to do.

    who: the name of the key, or how else the person came in.
    client: the address the request came from; None on the command line.
    action: the method and the path, without a query, or the command.
    """

    who: str
    action: str
    key_id: str | None = None
    client: str | None = None


@dataclass(frozen=True, slots=True)
class StoredAction:
    """An action with its time and outcome.

    `status` is an HTTP status; None when the process ended before the action did.
    """

    id: str
    created_at: datetime
    action: Action
    status: int | None


class AuditRepository:
    """Writes and reads the audit inside the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def begin(self, action: Action, status: int | None = None) -> str:
        """Record an action, by default one whose outcome is open; gives its id."""
        action_id = str(ULID())
        await self._session.execute(
            insert(AuditRow).values(
                id=action_id,
                created_at=datetime.now(UTC),
                who=action.who,
                key_id=action.key_id,
                client=action.client,
                action=action.action[:LONGEST_ACTION],
                status=status,
            )
        )
        return action_id

    async def end(self, action_id: str, status: int) -> None:
        """Record how an action ended."""
        await self._session.execute(
            update(AuditRow).where(AuditRow.id == action_id).values(status=status)
        )

    async def page(
        self, limit: int, cursor: str | None = None
    ) -> tuple[list[StoredAction], str | None]:
        """Up to `limit` actions, newest first, and the cursor of the next page, if there is one."""
        query = select(AuditRow).order_by(AuditRow.id.desc())
        if cursor is not None:
            query = query.where(AuditRow.id < cursor)
        rows = (await self._session.scalars(query.limit(limit + 1))).all()
        page = [
            StoredAction(
                row.id,
                row.created_at,
                Action(row.who, row.action, row.key_id, row.client),
                row.status,
            )
            for row in rows[:limit]
        ]
        return page, page[-1].id if len(rows) > limit else None

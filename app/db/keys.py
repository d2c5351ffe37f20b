"""Stored API keys, and the audit log."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from ulid import ULID

from app.db.session import newest_rows
from app.db.tables import AuditRow, KeyRow, from_row
from app.domain.key import Key, Scope


class KeyRepository:
    """Writes and reads keys inside the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, key: Key) -> bool:
        """Store a key, unless a key of its name is in use: then False."""
        # INSERT first: on SQLite a transaction that reads first cannot wait for the write lock.
        await self._session.execute(
            insert(KeyRow).values(
                id=key.id,
                created_at=key.created_at or datetime.now(UTC),
                name=key.name,
                digest=key.digest,
                scopes=sorted(key.scopes),
                requests_per_minute=key.limits.requests_per_minute,
                tokens_per_minute=key.limits.tokens_per_minute,
                searches=key.limits.searches,
                used_at=None,
                revoked_at=None,
            )
        )
        if [other.name for other in await self.in_use()].count(key.name) == 1:
            return True
        await self._session.execute(delete(KeyRow).where(KeyRow.id == key.id))
        return False

    async def in_use(self) -> list[Key]:
        """The keys that are not revoked, oldest first."""
        query = select(KeyRow).where(KeyRow.revoked_at.is_(None)).order_by(KeyRow.created_at)
        return [_key(row) for row in await self._session.scalars(query)]

    async def all(self) -> list[Key]:
        """All keys, revoked ones included, oldest first."""
        query = select(KeyRow).order_by(KeyRow.created_at)
        return [_key(row) for row in await self._session.scalars(query)]

    async def revoke(self, name: str) -> list[str]:
        """Revoke the key with this name or id; gives the ids of revoked keys: none or one."""
        found = await self._session.scalars(
            update(KeyRow)
            .where((KeyRow.name == name) | (KeyRow.id == name), KeyRow.revoked_at.is_(None))
            .values(revoked_at=datetime.now(UTC))
            .returning(KeyRow.id)
        )
        return list(found)

    async def used(self, key_id: str, moment: datetime) -> None:
        """Record the time of a key's last use."""
        await self._session.execute(
            update(KeyRow).where(KeyRow.id == key_id).values(used_at=moment)
        )


def _key(row: KeyRow) -> Key:
    return from_row(Key, row, scopes=frozenset(map(Scope, row.scopes)))


MAX_ACTION_LENGTH = 500


@dataclass(frozen=True, slots=True)
class Action:
    """An action for the audit log.

    who: the name of the key, or how the caller was authenticated without one.
    client: the client's address; None on the command line.
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
    """Writes and reads the audit log inside the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def begin(self, action: Action, status: int | None = None) -> str:
        """Record an action, by default before its outcome is known; gives its id."""
        action_id = str(ULID())
        await self._session.execute(
            insert(AuditRow).values(
                id=action_id,
                created_at=datetime.now(UTC),
                who=action.who,
                key_id=action.key_id,
                client=action.client,
                action=action.action[:MAX_ACTION_LENGTH],
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
        rows, following = await newest_rows(self._session, AuditRow, limit, cursor)
        page = [from_row(StoredAction, row, action=from_row(Action, row)) for row in rows]
        return page, following

"""Stored API keys."""

from datetime import UTC, datetime

from sqlalchemy import delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.tables import KeyRow
from app.domain.key import Key, KeyLimits, Scope


class KeyRepository:
    """Writes and reads keys inside the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, key: Key) -> bool:
        """Store a key; False, and nothing stored, when a key of its name is in use."""
        # The write comes first: a transaction that reads first cannot wait for its turn on SQLite.
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
        """Every key there ever was, oldest first."""
        query = select(KeyRow).order_by(KeyRow.created_at)
        return [_key(row) for row in await self._session.scalars(query)]

    async def revoke(self, name: str) -> list[str]:
        """Revoke the key of this name or id; the ids of what was revoked, none or one."""
        found = await self._session.scalars(
            update(KeyRow)
            .where((KeyRow.name == name) | (KeyRow.id == name), KeyRow.revoked_at.is_(None))
            .values(revoked_at=datetime.now(UTC))
            .returning(KeyRow.id)
        )
        return list(found)

    async def used(self, key_id: str, moment: datetime) -> None:
        """Record when a key was used."""
        await self._session.execute(
            update(KeyRow).where(KeyRow.id == key_id).values(used_at=moment)
        )


def _key(row: KeyRow) -> Key:
    return Key(
        id=row.id,
        name=row.name,
        scopes=frozenset(map(Scope, row.scopes)),
        digest=row.digest,
        limits=KeyLimits(row.requests_per_minute, row.tokens_per_minute, row.searches),
        created_at=row.created_at,
        used_at=row.used_at,
        revoked_at=row.revoked_at,
    )

"""What each server serves, as it last said itself."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.tables import ServerRow
from app.domain.checkpoint import Versions

FORGOTTEN_AFTER = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class ServerState:
    """One server; `error` says why it does not serve what was promoted."""

    id: str
    url: str
    versions: Versions
    ready: bool
    error: str | None
    started_at: datetime
    seen_at: datetime


class ServerRepository:
    """Writes and reads servers inside the caller's transaction."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def report(self, state: ServerState) -> None:
        """Store a server's state, and forget servers that were silent for long."""
        # The write comes before the merge's look: a transaction that reads first cannot wait for
        # its turn to write on SQLite.
        await self._session.execute(
            delete(ServerRow).where(ServerRow.seen_at < datetime.now(UTC) - FORGOTTEN_AFTER)
        )
        await self._session.merge(
            ServerRow(
                id=state.id,
                url=state.url,
                started_at=state.started_at,
                seen_at=state.seen_at,
                actor_version=state.versions.actor,
                refiner_version=state.versions.refiner,
                ready=state.ready,
                error=state.error,
            )
        )

    async def remove(self, server_id: str) -> None:
        """Forget a server that ends."""
        await self._session.execute(delete(ServerRow).where(ServerRow.id == server_id))

    async def seen_since(self, moment: datetime) -> list[ServerState]:
        """The servers that reported after this moment, by their start."""
        query = select(ServerRow).where(ServerRow.seen_at >= moment).order_by(ServerRow.id)
        return [
            ServerState(
                id=row.id,
                url=row.url,
                versions=Versions(row.actor_version, row.refiner_version),
                ready=row.ready,
                error=row.error,
                started_at=row.started_at,
                seen_at=row.seen_at,
            )
            for row in await self._session.scalars(query)
        ]

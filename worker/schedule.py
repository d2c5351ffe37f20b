"""Iterations that start by themselves, at the times of a cron expression."""

from datetime import UTC, datetime

from cronsim import CronSim

from app.db.iterations import IterationRepository, NewIteration
from app.db.session import Database
from app.domain.presets import PRESETS


class Schedule:
    """Queues an iteration of `preset` at each time of `expression` (local time)."""

    def __init__(self, expression: str, preset: str) -> None:
        self._times = CronSim(expression, datetime.now(UTC).astimezone())
        self._preset = preset
        self._next = next(self._times)

    async def queue_if_due(self, database: Database) -> None:
        """Queue one iteration if a time has come; times that were missed count once."""
        now = datetime.now(UTC)
        if self._next > now:
            return
        due = self._next
        while self._next <= now:
            due, self._next = self._next, next(self._times)
        async with database.session() as session:
            await IterationRepository(session).add(
                NewIteration(
                    self._preset,
                    PRESETS[self._preset],
                    # Another worker may look at the same clock.
                    idempotency_key=f"schedule:{due.isoformat()}",
                )
            )

"""Iterations that start by themselves, at the times of a cron expression."""

from collections.abc import Callable
from datetime import UTC, datetime

from cronsim import CronSim

from app.db.iterations import IterationRepository, NewIteration
from app.db.session import Database
from app.domain.presets import PRESETS


def _now() -> datetime:
    return datetime.now(UTC)


class Schedule:
    """Queues an iteration of `preset` at each time of `expression` (UTC); `clock` says the time."""

    def __init__(self, expression: str, preset: str, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._times = CronSim(expression, clock())
        self._preset = preset
        self._next = next(self._times)
        self._due: datetime | None = None

    async def queue_if_due(self, database: Database) -> None:
        """Queue one iteration if a time has come; times that were missed count once.

        Raises `DatabaseError`; the time is still due then.
        """
        while self._next <= self._clock():
            self._due, self._next = self._next, next(self._times)
        if self._due is None:
            return
        async with database.session() as session:
            await IterationRepository(session).add(
                NewIteration(
                    self._preset,
                    PRESETS[self._preset],
                    # Another worker may look at the same clock.
                    idempotency_key=f"schedule:{self._due.isoformat()}",
                )
            )
        self._due = None

"""The worker's loop: holds the lease, and runs the queued iterations one at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime

from cronsim import CronSim

from app.concurrency import race
from app.db.checkpoints import CheckpointRepository
from app.db.iterations import IterationRepository, NewIteration, StoredIteration
from app.db.leases import Lease, acquire
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.domain.iteration import PRESETS, Status
from app.errors import DatabaseError, LeaseLost, SparError


def _now() -> datetime:
    return datetime.now(UTC)


class Schedule:
    """Queues an iteration of `preset` at each time of the cron `expression` (UTC)."""

    def __init__(self, expression: str, preset: str, clock: Callable[[], datetime] = _now) -> None:
        self._clock = clock
        self._times = CronSim(expression, clock())
        self._preset = preset
        self._next = next(self._times)
        self._due: datetime | None = None

    async def queue_if_due(self, database: Database) -> None:
        """Queue one iteration if a time has passed; several missed times count as one.

        Raises:
            DatabaseError: The iteration is not queued, and stays due.
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
                    # Other workers with the same schedule queue it too.
                    idempotency_key=f"schedule:{self._due.isoformat()}",
                )
            )
        self._due = None


log = logging.getLogger(__name__)

LEASE = "iterations"
POLL_SECONDS = 0.5
HEARTBEATS_PER_LEASE = 4
"""Renewals per lease duration: three may fail or be late."""
MAX_POLLS = 4
"""Most polls between two renewals; a renewal also detects that another worker has taken over."""

RunIteration = Callable[[StoredIteration, Versions, Lease], Awaitable[None]]
"""Runs an iteration against its incumbents, under a lease."""


class Loop:
    """Waits for the lease, then runs queued iterations."""

    def __init__(
        self,
        database: Database,
        run: RunIteration,
        *,
        owner: str,
        lease_seconds: float,
        schedule: Schedule | None = None,
    ) -> None:
        self._database = database
        self._run = run
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._schedule = schedule

    async def work(self) -> None:
        """Run until cancelled; retry when the lease or the database is lost."""
        while True:
            try:
                if lease := await acquire(self._database, LEASE, self._owner, self._lease_seconds):
                    log.info("this worker holds the lease (fence %d)", lease.fence)
                    await self._work_under(lease)
            except LeaseLost as error:
                log.warning("%s; waiting for it to end", error.message)
            except DatabaseError as error:
                log.warning("%s Trying again.", error.message)
            await asyncio.sleep(POLL_SECONDS)

    async def _work_under(self, lease: Lease) -> None:
        try:
            while True:
                async with self._database.session() as session:
                    iteration = await IterationRepository(session).next_to_run()
                if iteration is not None:
                    await self._run_one(iteration, lease)
                    continue
                if self._schedule is not None:
                    await self._schedule.queue_if_due(self._database)
                await lease.renew()
                await asyncio.sleep(POLL_SECONDS)
        except asyncio.CancelledError:
            with suppress(SparError):
                await lease.release()
            raise

    async def _run_one(self, iteration: StoredIteration, lease: Lease) -> None:
        async with lease.session() as session:
            serving = (await CheckpointRepository(session).serving()).versions
            if not await IterationRepository(session).start(iteration.id, serving):
                return  # It was cancelled after `next_to_run`.
        log.info("iteration %s starts", iteration.id)
        status, reason = Status.SUCCEEDED, None
        try:
            await self._run_watched(iteration, iteration.incumbents or serving, lease)
        except _Cancelled:
            status = Status.CANCELLED
        except LeaseLost:
            raise  # The lease's new holder continues the iteration.
        except Exception as error:
            if isinstance(error, DatabaseError) and error.retry_after is not None:
                raise  # Temporary: the iteration continues afterwards.
            status, reason = Status.FAILED, _explain(error)
        async with lease.session() as session:
            await IterationRepository(session).finish(iteration.id, status, error=reason)
        log.info("iteration %s has %s%s", iteration.id, status, f": {reason}" if reason else "")

    async def _run_watched(
        self, iteration: StoredIteration, incumbents: Versions, lease: Lease
    ) -> None:
        """Run an iteration while renewing the lease and polling for a cancel request."""
        await race(self._run(iteration, incumbents, lease), self._watch(iteration.id, lease))

    async def _watch(self, iteration_id: str, lease: Lease) -> None:
        while True:
            try:
                await self._poll(iteration_id, lease)
            except DatabaseError as error:
                # Without the database no other worker can take the lease: training continues.
                if error.retry_after is None:
                    raise
                log.warning("%s The iteration continues.", error.message)
                await asyncio.sleep(POLL_SECONDS)

    async def _poll(self, iteration_id: str, lease: Lease) -> None:
        """Renew the lease, then poll for a cancel request until the next renewal is due."""
        await lease.renew()
        polls, pause = polls_per_heartbeat(self._lease_seconds)
        for _ in range(polls):
            await asyncio.sleep(pause)
            async with self._database.session() as session:
                iteration = await IterationRepository(session).get(iteration_id)
            if iteration is None or iteration.cancel_requested:
                raise _Cancelled


def polls_per_heartbeat(lease_seconds: float) -> tuple[int, float]:
    """Polls for a cancel request between two renewals of the lease, and the seconds before each."""
    heartbeat = lease_seconds / HEARTBEATS_PER_LEASE
    pause = min(POLL_SECONDS, heartbeat)
    return min(MAX_POLLS, int(heartbeat / pause)), pause


class _Cancelled(Exception):
    """The iteration's cancellation was requested."""


def _explain(error: Exception) -> str:
    """The error text of a failed iteration; an unexpected error is logged with its traceback."""
    match error:
        case SparError():
            return error.message
        case OSError(strerror=str(strerror)):
            return f"{error.filename or 'a file'}: {strerror}"
    log.error("an iteration failed with an unexpected error", exc_info=error)
    return f"unexpected error: {type(error).__name__}: {error}"

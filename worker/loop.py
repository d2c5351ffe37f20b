"""The worker: holds the lease, and runs the iterations that wait, one at a time."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

from app.db.checkpoints import CheckpointRepository
from app.db.iterations import IterationRepository, StoredIteration
from app.db.leases import Lease, acquire
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.domain.iteration import Status
from app.errors import DatabaseError, LeaseLost, SparError
from worker.schedule import Schedule

log = logging.getLogger(__name__)

LEASE = "iterations"
POLL_SECONDS = 0.5
HEARTBEATS_PER_LEASE = 4

Run = Callable[[StoredIteration, Versions, Lease], Awaitable[None]]
"""Runs an iteration against its incumbents, under a lease."""


class Loop:
    """Waits for the lease, then for iterations, and runs them."""

    def __init__(
        self,
        database: Database,
        run: Run,
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
        """Work until cancelled. A lost lease or database is waited for."""
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
            await IterationRepository(session).start(iteration.id, serving)
        log.info("iteration %s begins", iteration.id)
        status, reason = Status.SUCCEEDED, None
        try:
            async with self._watched(iteration.id, lease):
                await self._run(iteration, iteration.incumbents or serving, lease)
        except _Cancelled:
            status = Status.CANCELLED
        except (LeaseLost, DatabaseError):
            raise  # Not this iteration's fault: whoever holds the lease next goes on with it.
        except SparError as error:
            status, reason = Status.FAILED, error.message
        except OSError as error:
            status, reason = Status.FAILED, f"{error.filename or 'a file'}: {error.strerror}"
        async with lease.session() as session:
            await IterationRepository(session).finish(iteration.id, status, error=reason)
        log.info("iteration %s has %s%s", iteration.id, status, f": {reason}" if reason else "")

    @asynccontextmanager
    async def _watched(self, iteration_id: str, lease: Lease) -> AsyncIterator[None]:
        """Keep the lease and look for a wish to cancel, while the block runs.

        Either ends the block: with `_Cancelled`, or with the error that keeping the lease met.
        """
        block = asyncio.current_task()
        assert block is not None, "a coroutine runs in a task"
        watch = asyncio.create_task(self._watch(iteration_id, lease))
        watch.add_done_callback(lambda ended: None if ended.cancelled() else block.cancel())
        try:
            yield
        except asyncio.CancelledError:
            if watch.done() and not watch.cancelled():
                block.uncancel()
                watch.result()
            raise
        finally:
            watch.cancel()
            await asyncio.wait({watch})

    async def _watch(self, iteration_id: str, lease: Lease) -> None:
        while True:
            await lease.renew()
            for _ in range(HEARTBEATS_PER_LEASE):
                await asyncio.sleep(min(POLL_SECONDS, self._lease_seconds / HEARTBEATS_PER_LEASE))
                async with self._database.session() as session:
                    iteration = await IterationRepository(session).get(iteration_id)
                if iteration is None or iteration.cancel_requested:
                    raise _Cancelled


class _Cancelled(Exception):
    """Somebody asked for the end of the iteration."""

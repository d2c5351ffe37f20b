"""Puts the engine to sleep while a training holds the GPU lease, and wakes it afterwards.

The worker takes the lease (`worker/gpu_lease.py`), which is a row of the database: when a worker
dies, the lease expires and the engine wakes.
"""

import asyncio
import logging

from app.db.leases import TRAINING, holder
from app.db.session import Database
from app.engine.base import SleepyEngine
from app.engine.process import engine_asleep
from app.errors import DatabaseError, EngineUnavailable
from app.serving.drain import DrainBarrier

log = logging.getLogger(__name__)


class SleepController:
    """Follows the GPU lease with one server's engine."""

    def __init__(
        self,
        database: Database,
        engine: SleepyEngine,
        drain_barrier: DrainBarrier,
        *,
        poll: float,
        drain: float,
    ) -> None:
        """In seconds: `poll` between reads of the lease; `drain` is the drain timeout."""
        self._database = database
        self._engine = engine
        self._drain_barrier = drain_barrier
        self._poll = poll
        self._drain = drain

    async def watch(self) -> None:
        """Follow the lease until cancelled."""
        while True:
            if self._engine.ready and await self._lease_held():
                await self._sleep()
            await asyncio.sleep(self._poll)

    async def _sleep(self) -> None:
        """Sleep while the lease is held. Requests are rejected: a training takes minutes."""
        async with self._drain_barrier.drained(self._drain, engine_asleep):
            log.info("the engine sleeps while a training runs")
            try:
                await self._engine.sleep()
                # No event says that the lease has expired or the engine died.
                while self._engine.asleep and await self._lease_held():  # noqa: ASYNC110
                    await asyncio.sleep(self._poll)
            except EngineUnavailable as error:
                log.error("the engine cannot sleep: %s", error.message)
            try:
                await self._engine.wake_up()
            except EngineUnavailable as error:
                log.error("the engine cannot wake up: %s", error.message)
            else:
                log.info("the engine is awake")

    async def _lease_held(self) -> bool:
        try:
            async with self._database.session() as session:
                return await holder(session, TRAINING) is not None
        except DatabaseError:
            return self._engine.asleep  # the training goes on while the database is unavailable

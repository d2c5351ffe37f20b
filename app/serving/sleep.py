"""Puts the engine to sleep while a training needs its GPU.

The worker asks for it with a lease in the database (`worker/gpu_lease.py`), which expires when the
worker vanishes; the engine wakes up then.
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
    """Puts one server's engine to sleep while the lease is held, and wakes it up afterwards."""

    def __init__(
        self,
        database: Database,
        engine: SleepyEngine,
        drain_barrier: DrainBarrier,
        *,
        poll: float,
        drain: float,
    ) -> None:
        """In seconds: `poll` between reads of the lease, `drain` for running requests to finish."""
        self._database = database
        self._engine = engine
        self._drain_barrier = drain_barrier
        self._poll = poll
        self._drain = drain

    async def watch(self) -> None:
        """Poll the lease until cancelled."""
        while True:
            if self._engine.ready and await self._lease_held():
                await self._sleep()
            await asyncio.sleep(self._poll)

    async def _sleep(self) -> None:
        """Sleep while the lease is held. Requests are rejected: a training takes minutes."""
        async with self._drain_barrier.drained(self._drain, engine_asleep):
            log.info("the engine sleeps during a training")
            try:
                await self._engine.sleep()
                # Neither an expired lease nor the engine's death sets an event.
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
            return self._engine.asleep  # a training continues while the database is unreachable

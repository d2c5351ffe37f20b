"""Has the engine sleep while a training needs its GPU: the server's side of the bargain.

The worker holds the other end, `worker/gpu_lease.py`. Between them is a database lease: a worker
that vanishes lets it run out, and the engine wakes.
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
    """Puts one server's engine to sleep, and wakes it."""

    def __init__(
        self,
        database: Database,
        engine: SleepyEngine,
        drain_barrier: DrainBarrier,
        *,
        look: float,
        drain: float,
    ) -> None:
        """In seconds: `look` between looks at the lease, `drain` for running requests to end."""
        self._database = database
        self._engine = engine
        self._drain_barrier = drain_barrier
        self._look = look
        self._drain = drain

    async def watch(self) -> None:
        """Follow the lease until cancelled."""
        while True:
            if self._engine.ready and await self._wanted():
                await self._sleep()
            await asyncio.sleep(self._look)

    async def _sleep(self) -> None:
        """Sleep as long as it is wanted. Requests are turned away: a training takes minutes."""
        async with self._drain_barrier.drained(self._drain, engine_asleep):
            log.info("the engine goes to sleep for a training")
            try:
                await self._engine.sleep()
                # No event says that a worker has vanished, or the engine died.
                while self._engine.asleep and await self._wanted():  # noqa: ASYNC110
                    await asyncio.sleep(self._look)
            except EngineUnavailable as error:
                log.error("the engine cannot sleep: %s", error.message)
            try:
                await self._engine.wake_up()
            except EngineUnavailable as error:
                log.error("the engine cannot wake up: %s", error.message)
            else:
                log.info("the engine is awake")

    async def _wanted(self) -> bool:
        try:
            async with self._database.session() as session:
                return await holder(session, TRAINING) is not None
        except DatabaseError:
            return self._engine.asleep  # a training goes on while the database is away

"""Trains on the GPU of the server's engine, which sleeps meanwhile: the worker's side.

The server's side is `app/serving/sleep.py`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from app.db.leases import TRAINING, Lease, acquire
from app.db.session import Database
from app.errors import DatabaseError, EngineUnavailable, SparError
from training.config import TrainingConfig
from worker.context import watched
from worker.trainer import OnProgress, Train, TrainingFailed, run_training

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.2
RENEWALS_PER_LEASE = 4


class GpuLease:
    """A `Train` that asks for the engine's sleep before each training, and ends it afterwards.

    A lease asks for it, renewed while the training runs. Whatever becomes of the worker, the
    engine wakes when that has run out; and if somebody else got it, the training ends at once.
    """

    def __init__(
        self,
        database: Database,
        asleep: Callable[[], Awaitable[bool]],
        *,
        owner: str,
        lease_seconds: float,
        patience_seconds: float,
        train: Train = run_training,
    ) -> None:
        """`asleep` asks the server, which is waited for as long as `patience_seconds`."""
        self._database = database
        self._asleep = asleep
        self._owner = owner
        self._lease_seconds = lease_seconds
        self._patience_seconds = patience_seconds
        self._train = train

    async def __call__(
        self,
        config: TrainingConfig,
        on_progress: OnProgress,
        *,
        accelerate_config: Path | None = None,
        niceness: int = 0,
    ) -> None:
        """See `Train`. Raises `LeaseLost` too."""
        if config.finished:
            return

        async def train() -> None:
            await self._wait_asleep()
            await self._train(
                config, on_progress, accelerate_config=accelerate_config, niceness=niceness
            )

        lease = await self._acquire()
        try:
            await watched(train(), self._hold(lease))
        finally:
            with suppress(SparError):  # it runs out by itself
                await lease.release()

    async def _acquire(self) -> Lease:
        """The lease; a worker that has died may have it for some seconds yet."""
        while True:
            lease = await acquire(self._database, TRAINING, self._owner, self._lease_seconds)
            if lease is not None:
                return lease
            await asyncio.sleep(LOOK_SECONDS)

    async def _hold(self, lease: Lease) -> None:
        while True:
            await asyncio.sleep(self._lease_seconds / RENEWALS_PER_LEASE)
            try:
                await lease.renew()
            except DatabaseError as error:
                if error.retry_after is None:
                    raise

    async def _wait_asleep(self) -> None:
        log.info("waiting for the engine to sleep")
        try:
            async with asyncio.timeout(self._patience_seconds):
                while not await self._sleeps():  # noqa: ASYNC110 (another process does it)
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError as error:
            raise TrainingFailed(
                f"the server's engine did not sleep within {self._patience_seconds:g} s: is"
                " SPAR_SLEEP_WHILE_TRAINING set there too?"
            ) from error

    async def _sleeps(self) -> bool:
        try:
            return await self._asleep()
        except EngineUnavailable:
            return False  # the server is away; it sleeps when it is back

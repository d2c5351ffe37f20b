"""Trains on the GPU that the server's engine uses, while that engine sleeps.

The server's counterpart is `app/serving/sleep.py`.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from app.concurrency import race
from app.db.leases import TRAINING, Lease, acquire
from app.db.session import Database
from app.errors import DatabaseError, EngineUnavailable, SparError
from training.config import TrainingConfig
from worker.trainer import OnProgress, Train, TrainingFailed, run_training

log = logging.getLogger(__name__)

POLL_SECONDS = 0.2
RENEWALS_PER_LEASE = 4


class GpuLease:
    """A `Train` that has the engine sleep during each training.

    The engine sleeps while a lease is held, which is renewed while the training runs. If the worker
    dies, the lease expires and the engine wakes. If another worker takes the lease, the training is
    cancelled.
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
        """`asleep` queries whether the engine sleeps, for up to `patience_seconds`."""
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
        """See `Train`.

        Raises:
            TrainingFailed: The training failed, or the engine did not sleep in time.
            LeaseLost: Another worker has taken the lease.
        """
        if config.finished:
            return

        async def train() -> None:
            await self._wait_asleep()
            await self._train(
                config, on_progress, accelerate_config=accelerate_config, niceness=niceness
            )

        lease = await self._acquire()
        try:
            await race(train(), self._hold(lease))
        finally:
            with suppress(SparError):  # it expires by itself
                await lease.release()

    async def _acquire(self) -> Lease:
        """The lease, after that of a worker that died has expired."""
        while True:
            lease = await acquire(self._database, TRAINING, self._owner, self._lease_seconds)
            if lease is not None:
                return lease
            await asyncio.sleep(POLL_SECONDS)

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
                while not await self._sleeps():  # noqa: ASYNC110 (another process changes it)
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise TrainingFailed(
                f"the server's engine did not sleep within {self._patience_seconds:g} s: is"
                " SPAR_SLEEP_WHILE_TRAINING set there too?"
            ) from error

    async def _sleeps(self) -> bool:
        try:
            return await self._asleep()
        except EngineUnavailable:
            return False  # It sleeps once the server is back.

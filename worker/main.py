"""Wiring of the worker process."""

import asyncio
import logging
import os
import signal
import socket
from contextlib import suppress

from ulid import ULID

from app.config.settings import Settings
from app.constraints.checker import Checker
from app.db.iterations import StoredIteration
from app.db.leases import Lease
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.engine.remote import RemoteEngine
from app.observe.logs import configure_logs
from app.serving.roles import make_roles
from worker.context import IterationContext, Paths
from worker.gpu_lease import GpuLease
from worker.iteration import run_iteration
from worker.loop import Loop, Schedule
from worker.retry import RetryingEngine
from worker.trainer import run_training

CALL_SECONDS = 600.0
"""Timeout of one model call, including its time in the queue behind user requests."""
CONNECTIONS = 256


async def run_worker(settings: Settings, model: str) -> None:
    """Work until SIGTERM or SIGINT. `model` is the folder or hub name of the base model."""
    work = asyncio.ensure_future(_work(settings, model))
    for stop in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(stop, work.cancel)
    with suppress(asyncio.CancelledError):
        await work


async def _work(settings: Settings, model: str) -> None:
    remote = RemoteEngine(
        settings.server_url,
        connections=CONNECTIONS,
        timeout_s=CALL_SECONDS,
        api_key=settings.api_key,
    )
    engine = RetryingEngine(remote, settings.server_retry_seconds)
    checker = Checker(settings.check_processes, settings.check_seconds)
    database = Database(settings.url)
    roles = make_roles(settings, engine, checker)
    owner = f"{socket.gethostname()}:{os.getpid()}:{ULID()}"
    gpu_lease = GpuLease(
        database,
        remote.asleep,
        owner=owner,
        lease_seconds=settings.lease_seconds,
        patience_seconds=settings.server_retry_seconds,
    )
    paths = Paths(
        data=settings.data.absolute(),
        model=model,
        accelerate_config=settings.accelerate_config,
        niceness=settings.training_niceness,
        labelled_pairs=settings.labelled_pairs,
        dtype=settings.dtype,
        train=gpu_lease if settings.sleep_while_training else run_training,
    )

    async def run(iteration: StoredIteration, incumbents: Versions, lease: Lease) -> None:
        await run_iteration(
            IterationContext(iteration, incumbents, lease, database, roles, checker, paths)
        )

    schedule = None
    if settings.schedule is not None:
        schedule = Schedule(settings.schedule, settings.schedule_preset)
    loop = Loop(
        database,
        run,
        owner=owner,
        lease_seconds=settings.lease_seconds,
        schedule=schedule,
    )
    try:
        await checker.start()
        await loop.work()
    finally:
        await checker.close()
        await remote.close()
        await database.close()


def configure_logging(settings: Settings) -> None:
    """Log as the server does, and by default the progress of iterations too."""
    configure_logs(settings.log_format, settings.log_level, "worker")
    if settings.log_level == "warning":
        logging.getLogger("worker").setLevel(logging.INFO)

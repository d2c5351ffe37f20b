"""Injects faults, and reverts them."""

import asyncio
import signal
import sqlite3
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any

import httpx
import psutil

from tests.chaos.process import Part, freeze
from tests.chaos.scenario import Fault, Kind
from tests.chaos.scripted_engine import AWAY_SECONDS, DIE, HANG, HANG_SECONDS
from tests.chaos.scripted_server import BACK, FORWARD
from tests.chaos.system import System
from tests.chaos.waiting import until

LOCK_SECONDS = 5.0
"""Timeout of acquiring the lock."""
JUMP_SECONDS = 1.0
TRAINER_SECONDS = 8.0
"""Timeout of waiting for a training to start."""


@dataclass(frozen=True, slots=True)
class ServerEnd:
    """An end of the server's process, by SIGTERM or SIGKILL.

    at, gone: times of the signal and of the process's end (seconds of the run); in between it may
    still accept connections. asked: by SIGTERM. start: number of the server's start, from 1.
    """

    at: float
    gone: float
    asked: bool
    start: int


@dataclass
class Faults:
    """Runs a scenario; `now` returns the seconds since the run began."""

    system: System
    now: Callable[[], float]
    random: Random
    injected: list[Fault] = field(default_factory=list)
    missed: list[Fault] = field(default_factory=list)
    """Faults without a target, such as a trainer kill without a training."""
    ends: list[ServerEnd] = field(default_factory=list)

    async def run(self, scenario: Sequence[Fault]) -> None:
        """Inject each fault at its time; they may overlap. Returns when all are over."""
        async with asyncio.TaskGroup() as group:
            for fault in scenario:
                await asyncio.sleep(max(0.0, fault.at - self.now()))
                group.create_task(self._apply(fault))

    async def _apply(self, fault: Fault) -> None:
        done = await _ACTIONS[fault.kind](self, fault)
        (self.injected if done else self.missed).append(fault)

    async def _end_server(self, fault: Fault) -> bool:
        asked = fault.kind is Kind.SERVER_STOP
        server = self.system.server
        async with server.busy:
            at = self.now()
            await server.end(signal.SIGTERM if asked else signal.SIGKILL)
            self.ends.append(ServerEnd(at, self.now(), asked, server.starts))
            server.start()
            await self.system.wait_ready()
        return True

    async def _freeze_server(self, fault: Fault) -> bool:
        async with self.system.server.busy:
            await self.system.server.freeze(fault.seconds)
        return True

    async def _kill_engine(self, _: Fault) -> bool:
        async with self.system.server.busy:
            if self.system.scripted:
                self.system.server.send(DIE)
                await asyncio.sleep(AWAY_SECONDS)
                return True
            killed = _kill(self.system.engines()[:1])
            await self.system.wait_ready()
            return killed

    async def _freeze_engine(self, fault: Fault) -> bool:
        async with self.system.server.busy:
            if self.system.scripted:
                self.system.server.send(HANG)
                await asyncio.sleep(HANG_SECONDS)
                return True
            engines = self.system.engines()
            await freeze(engines, fault.seconds)
            return bool(engines)

    async def _kill_worker(self, _: Fault) -> bool:
        worker = self._some_worker()
        async with worker.busy:
            await worker.end(signal.SIGKILL)
            worker.start()
        return True

    async def _freeze_worker(self, fault: Fault) -> bool:
        worker = self._some_worker()
        async with worker.busy:
            await worker.freeze(fault.seconds)
        return True

    async def _kill_trainer(self, _: Fault) -> bool:
        return _kill(await self._trainers())

    async def _freeze_trainer(self, fault: Fault) -> bool:
        trainers = await self._trainers()
        await freeze(trainers, fault.seconds)
        return bool(trainers)

    async def _lock_database(self, fault: Fault) -> bool:
        async with self.system.database_busy:
            return await asyncio.to_thread(_hold_lock, self.system, fault.seconds)

    async def _restart_database(self, fault: Fault) -> bool:
        postgres = self.system.postgres
        assert postgres is not None, "only PostgreSQL has a server"
        async with self.system.database_busy:
            await asyncio.to_thread(postgres.stop)
            await asyncio.sleep(fault.seconds)
            await asyncio.to_thread(postgres.start)
        return True

    async def _freeze_database(self, fault: Fault) -> bool:
        postgres = self.system.postgres
        assert postgres is not None, "only PostgreSQL has a server"
        async with self.system.database_busy:
            await freeze(postgres.processes(), fault.seconds)
        return True

    async def _fill_disk(self, fault: Fault) -> bool:
        disk = self.system.disk
        assert disk is not None, "only a mounted tmpfs is filled"
        async with self.system.database_busy:
            await asyncio.to_thread(disk.fill)
            try:
                await asyncio.sleep(fault.seconds)
            finally:
                disk.clear()
        return True

    async def _jump(self, _: Fault) -> bool:
        async with self.system.server.busy:
            self.system.server.send(FORWARD)
            await asyncio.sleep(JUMP_SECONDS)
            self.system.server.send(BACK)
        return True

    async def _swap(self, _: Fault) -> bool:
        """Promote a random version."""
        with suppress(httpx.HTTPError):
            async with self.system.client() as client:
                found = (await client.get("/admin/checkpoints")).json()
                choice = self._other_version(found.get("checkpoints", []))
                if choice is not None:
                    path = f"/admin/checkpoints/{choice['role']}/{choice['version']}/promote"
                    return (await client.post(path)).is_success
        return False

    def _other_version(self, checkpoints: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
        able = [one for one in checkpoints if one["status"] != "training" and not one["serving"]]
        return self.random.choice(able) if able else None

    def _some_worker(self) -> Part:
        return self.random.choice(list(self.system.workers))

    async def _trainers(self) -> list[psutil.Process]:
        await until(self.system.trainers, TRAINER_SECONDS)
        return self.system.trainers()


_ACTIONS: dict[Kind, Callable[[Faults, Fault], Awaitable[bool]]] = {
    Kind.SERVER_KILL: Faults._end_server,
    Kind.SERVER_STOP: Faults._end_server,
    Kind.SERVER_FREEZE: Faults._freeze_server,
    Kind.ENGINE_KILL: Faults._kill_engine,
    Kind.ENGINE_FREEZE: Faults._freeze_engine,
    Kind.WORKER_KILL: Faults._kill_worker,
    Kind.WORKER_FREEZE: Faults._freeze_worker,
    Kind.TRAINER_KILL: Faults._kill_trainer,
    Kind.TRAINER_FREEZE: Faults._freeze_trainer,
    Kind.DATABASE_LOCK: Faults._lock_database,
    Kind.DATABASE_RESTART: Faults._restart_database,
    Kind.DATABASE_FREEZE: Faults._freeze_database,
    Kind.DISK_FULL: Faults._fill_disk,
    Kind.CLOCK_JUMP: Faults._jump,
    Kind.SWAP: Faults._swap,
}


def _kill(processes: Sequence[psutil.Process]) -> bool:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return bool(processes)


def _hold_lock(system: System, seconds: float) -> bool:
    """Hold SQLite's write lock."""
    try:
        file = sqlite3.connect(system.database_file, timeout=LOCK_SECONDS, isolation_level=None)
        with closing(file) as connection:
            connection.execute("BEGIN IMMEDIATE")
            time.sleep(seconds)
            connection.execute("ROLLBACK")
    except sqlite3.OperationalError:
        return False  # The lock was held elsewhere, or the disk is full.
    return True

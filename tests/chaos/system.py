"""The system under test: a server, two workers, a database and a disk."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil

from app.db.session import Database
from app.domain.checkpoint import Role
from tests.chaos.disk import Disk, small_disk
from tests.chaos.process import Part, named
from tests.chaos.scenario import Kind
from tests.chaos.scripted_engine import USUAL_PACE, Pace
from tests.helpers.checkpoint_files import make_base
from tests.helpers.postgres import PostgresServer, postgres_server
from tests.helpers.swapping import World
from tests.integration.server import free_port

BASE = "base"
"""The base model's folder of a scripted system."""
SETTINGS = {
    "worker": "false",
    "swap_seconds": "0.2",
    "heartbeat_seconds": "0.5",
    "lease_seconds": "2",
    "shutdown_seconds": "10",
    "critique_tokens": "16",
    "max_running": "8",
    "max_waiting": "16",
}
REAL = {"context_tokens": "2048", "kv_cache_gib": "1"}
ONLY_SCRIPTED = frozenset({Kind.CLOCK_JUMP})
ONLY_SQLITE = frozenset({Kind.DATABASE_LOCK, Kind.DISK_FULL})
ONLY_POSTGRESQL = frozenset({Kind.DATABASE_RESTART, Kind.DATABASE_FREEZE})
POLL_SECONDS = 0.2


@dataclass
class System:
    """The running system; `postgres` is None on SQLite, `disk` without permission to mount."""

    scripted: bool
    url: str
    data: Path
    database_url: str
    server: Part
    workers: Sequence[Part]
    postgres: PostgresServer | None
    disk: Disk | None
    ready_seconds: float
    database_busy: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def kinds(self) -> frozenset[Kind]:
        """The supported kinds of faults."""
        impossible = frozenset[Kind]() if self.scripted else ONLY_SCRIPTED
        impossible |= ONLY_SQLITE if self.postgres else ONLY_POSTGRESQL
        if self.disk is None:
            impossible |= {Kind.DISK_FULL}
        return frozenset(Kind) - impossible

    @property
    def parts(self) -> Sequence[Part]:
        """Server and workers."""
        return (self.server, *self.workers)

    @property
    def database_file(self) -> Path:
        """SQLite's database file."""
        return self.data / "spar.db"

    def client(self) -> httpx.AsyncClient:
        """A new client of the server."""
        return httpx.AsyncClient(base_url=self.url, timeout=15, trust_env=False)

    def engines(self) -> list[psutil.Process]:
        """The processes of the real engine, its core first; empty for a scripted one."""
        return named(self.server.family(), "VLLM")

    def trainers(self) -> list[psutil.Process]:
        """The running trainer processes."""
        family = [process for worker in self.workers for process in worker.family()]
        return named(family, "training", str(self.data))

    async def wait_ready(self) -> None:
        """Wait until the server is ready, restarting it if it ends; raises TimeoutError."""
        async with asyncio.timeout(self.ready_seconds), self.client() as client:
            while not await is_ready(client):
                await asyncio.sleep(POLL_SECONDS)
                self.server.revive()

    async def close(self) -> None:
        """Terminate every process, the workers first."""
        for part in (*self.workers, self.server):
            await part.end()


async def is_ready(client: httpx.AsyncClient) -> bool:
    """Whether the server is ready."""
    with suppress(httpx.HTTPError):
        return (await client.get("/readyz")).status_code == httpx.codes.OK
    return False


@asynccontextmanager
async def system(
    folder: Path,
    *,
    scripted: bool = True,
    on_postgresql: bool = False,
    workers: int = 2,
    pace: Pace = USUAL_PACE,
) -> AsyncIterator[System]:
    """A running system with its files in `folder`; all processes have ended afterwards.

    scripted: real processes with a fake engine and trainer. pace: speed of that engine.
    """
    with ExitStack() as stack:
        data = folder / "data"
        mounted = stack.enter_context(small_disk(data, 64 if scripted else 1024))
        postgres = stack.enter_context(postgres_server()) if on_postgresql else None
        made = _made(folder, scripted, postgres, mounted, workers)
        made.server.environment |= pace.as_environment()
        try:
            made.server.start()
            await made.wait_ready()
            if scripted:
                await _add_checkpoints(made, folder / BASE)
            for worker in made.workers:
                worker.start()
            yield made
        finally:
            await made.close()


def _made(
    folder: Path,
    scripted: bool,
    postgres: PostgresServer | None,
    mounted: Disk | None,
    workers: int,
) -> System:
    data = folder / "data"
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    sqlite = f"sqlite+aiosqlite:///{data / 'spar.db'}"
    database_url = postgres.url(postgres.new_database()) if postgres else sqlite
    settings = SETTINGS | ({"model": str(_base(folder))} if scripted else REAL)
    settings |= {"data": str(data), "database_url": database_url, "port": str(port)}
    environment = {f"SPAR_{name.upper()}": value for name, value in settings.items()}
    serve = "tests.chaos.scripted_server" if scripted else "app.cli"
    work = "tests.chaos.scripted_worker" if scripted else "worker"
    arguments = [] if scripted else ["serve"]
    return System(
        scripted,
        url,
        data,
        database_url,
        Part(
            "server",
            [sys.executable, "-m", serve, *arguments],
            environment,
            folder / "server.log",
        ),
        [
            Part(name, [sys.executable, "-m", work], environment, folder / f"{name}.log")
            for name in (f"worker-{number}" for number in range(1, workers + 1))
        ],
        postgres,
        mounted,
        ready_seconds=60 if scripted else 240,
    )


async def _add_checkpoints(made: System, base: Path) -> None:
    """Add checkpoints to swap between before an iteration has created any."""
    database = Database(made.database_url)
    world = World(database, made.data, base)
    for role in Role:
        for version in (1, 2):
            await world.add(role, version)
    await database.close()


def _base(folder: Path) -> Path:
    base = make_base(folder / BASE)
    (base / "tokenizer.json").write_text("{}")
    return base

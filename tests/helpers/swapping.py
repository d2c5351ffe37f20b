"""Checkpoint serving over a real database and a scripted engine."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.checkpoints.registry import Registry, open_registry
from app.db.checkpoints import CheckpointRepository, ServerRepository, ServerState, StoredCheckpoint
from app.db.session import Database
from app.db.tables import CheckpointRow
from app.domain.checkpoint import (
    CheckpointKind,
    CheckpointStatus,
    PromotionCause,
    Role,
    Versions,
    served_name,
)
from app.engine.base import Call
from app.errors import SparError
from app.serving.drain import DrainBarrier
from app.serving.swap import OnSwap, Swapper, SwapTimes, ignore_swap
from tests.helpers.checkpoint_files import make_base, make_checkpoint, make_full
from tests.helpers.scripted_engine import Script, ScriptedEngine
from tests.helpers.scripts import verdict_of_critique

SECONDS_UNTIL_STUCK = 20
QUICK = SwapTimes(poll=0.01, retry=0.05, report=0.05, idle=3600)


async def silence(call: Call) -> str:
    """A script with empty output."""
    return ""


class LoadingEngine(ScriptedEngine):
    """A scripted engine whose loading tests can observe, delay and fail."""

    def __init__(self, script: Script = silence) -> None:
        super().__init__(script, verdict_of_critique)
        self.loads: list[str] = []
        self.unloads: list[str] = []
        self.troubles: dict[str, SparError] = {}
        self.held: dict[str, asyncio.Event] = {}

    async def load_adapter(self, name: str, path: Path) -> None:
        """Load, when released, or fail as configured."""
        self.loads.append(name)
        if name in self.held:
            await self.held[name].wait()
        if name in self.troubles:
            raise self.troubles[name]
        await super().load_adapter(name, path)

    async def load_weights(self, name: str, folder: Path) -> None:
        """Replace the weights, or fail as configured."""
        self.loads.append(name)
        if name in self.held:
            await self.held[name].wait()
        if name in self.troubles:
            raise self.troubles[name]
        await super().load_weights(name, folder)

    async def unload_adapter(self, name: str) -> None:
        """Unload, when released, or fail as configured."""
        self.unloads.append(name)
        if f"unload {name}" in self.held:
            await self.held[f"unload {name}"].wait()
        if f"unload {name}" in self.troubles:
            raise self.troubles[f"unload {name}"]
        await super().unload_adapter(name)


class World:
    """A data folder and its database, shared by any number of servers."""

    def __init__(self, database: Database, data: Path, base: Path) -> None:
        self.database = database
        self.data = data
        self.base = base

    def folder(self, role: Role, version: int) -> Path:
        """The folder of a checkpoint."""
        return self.data / "checkpoints" / served_name(role, version)

    async def add(self, role: Role, version: int, **values: Any) -> None:
        """Create and record an adapter; `values` override its row."""
        digest = make_checkpoint(self.folder(role, version), self.base, role, version)
        await self.record(role, version, {"kind": CheckpointKind.LORA, "digest": digest} | values)

    async def add_full(self, role: Role, version: int, **values: Any) -> None:
        """Create and record full weights."""
        digest = make_full(self.folder(role, version), self.base, role, version, scale=1 + version)
        await self.record(role, version, {"kind": CheckpointKind.FULL, "digest": digest} | values)

    async def add_on(self, base_checkpoint: int, role: Role, version: int) -> None:
        """Create and record an adapter for the full weights of another version."""
        digest = make_checkpoint(
            self.folder(role, version), self.folder(role, base_checkpoint), role, version
        )
        values = {"kind": CheckpointKind.LORA, "digest": digest, "parent": base_checkpoint}
        await self.record(role, version, values)

    async def record(self, role: Role, version: int, values: dict[str, Any]) -> None:
        """Record a checkpoint whose folder exists."""
        row = {
            "status": CheckpointStatus.CANDIDATE,
            "model": str(self.base),
            "path": f"checkpoints/{served_name(role, version)}",
            "parent": 0,
            "iteration_id": None,
            "evaluation": None,
            "error": None,
            "created_at": datetime.now(UTC),
        }
        async with self.database.session() as session:
            session.add(CheckpointRow(role=role, version=version, **(row | values)))

    def damage(self, role: Role, version: int) -> None:
        """Truncate the weights of a checkpoint."""
        weights = self.folder(role, version) / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1])

    async def promote(self, actor: int, refiner: int) -> None:
        """Promote these versions."""
        async with self.database.session() as session:
            await CheckpointRepository(session).promote(
                Versions(actor, refiner), PromotionCause.PROMOTE
            )

    async def row(self, role: Role, version: int) -> StoredCheckpoint:
        """The record of a checkpoint."""
        async with self.database.session() as session:
            found = await CheckpointRepository(session).get(role, version)
        assert found is not None
        return found

    async def servers(self) -> list[ServerState]:
        """The states reported by the servers."""
        async with self.database.session() as session:
            minute_ago = datetime.now(UTC) - timedelta(minutes=1)
            return await ServerRepository(session).seen_since(minute_ago)

    async def registry(self, engine: ScriptedEngine) -> Registry:
        """A new server's registry."""
        return await open_registry(self.database, self.data, engine, str(self.base))

    @asynccontextmanager
    async def server(
        self,
        engine: ScriptedEngine,
        *,
        times: SwapTimes = QUICK,
        keep: int = 3,
        drain_barrier: DrainBarrier | None = None,
        on_swap: OnSwap = ignore_swap,
    ) -> AsyncIterator[tuple[Registry, Swapper]]:
        """A server that follows the promotions, with a drain barrier."""
        registry = await self.registry(engine)
        swapper = Swapper(
            self.database,
            registry,
            engine,
            drain=drain_barrier or DrainBarrier(),
            url="http://here",
            keep=keep,
            times=times,
            on_swap=on_swap,
        )
        swapper.start()
        try:
            yield registry, swapper
        finally:
            await swapper.close()


async def until(condition: Callable[[], Any]) -> None:
    """Wait until the condition holds, with a timeout."""
    async with asyncio.timeout(SECONDS_UNTIL_STUCK):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


async def still_waits(task: "asyncio.Task[Any]") -> bool:
    """Whether a task is still blocked after a moment."""
    _, waiting = await asyncio.wait({task}, timeout=0.1)
    return bool(waiting)


async def until_served(registry: Registry, actor: int, refiner: int) -> None:
    """Wait until a server serves these versions."""
    await until(lambda: registry.ready and registry.versions == Versions(actor, refiner))


async def until_reported(
    world: World, condition: Callable[[ServerState], Any], servers: int = 1
) -> list[ServerState]:
    """Wait until `servers` servers are recorded and the condition holds for each."""
    async with asyncio.timeout(SECONDS_UNTIL_STUCK):
        while True:
            states = await world.servers()
            if len(states) == servers and all(condition(state) for state in states):
                return states
            await asyncio.sleep(0.01)


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the base model."""
    return make_base(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture
async def database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """The test's own database, opened."""
    file = shutil.copy(migrated_file, tmp_path / "test.db")
    opened = Database(f"sqlite+aiosqlite:///{file}")
    yield opened
    await opened.close()


@pytest.fixture
def engine() -> LoadingEngine:
    """An engine whose loading the test controls."""
    return LoadingEngine()


@pytest.fixture
def world(database: Database, tmp_path: Path, base: Path) -> World:
    """The data folder and database of the test's servers."""
    return World(database, tmp_path / "data", base)

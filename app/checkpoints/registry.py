"""The checkpoints of one server: verified, loaded, pinned to requests, unloaded."""

import asyncio
import logging
from collections.abc import Sequence, Set
from dataclasses import dataclass
from pathlib import Path

from app.checkpoints.store import CheckpointStore
from app.db.checkpoints import BASE_VERSION, CheckpointRepository
from app.db.session import Database
from app.domain.checkpoint import (
    Role,
    Versions,
    parse_served_name,
    served_name,
)
from app.engine.base import AdapterEngine
from app.errors import Conflict, EngineUnavailable, NotFound, SparError

log = logging.getLogger(__name__)

Checkpoint = tuple[Role, int]
"""A role and its version."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Full weights of a version for the engine of a role, in a verified folder."""

    role: Role
    version: int
    folder: Path


async def open_registry(
    database: Database, data: Path, engine: AdapterEngine, model: str
) -> "Registry":
    """A registry, with the base model recorded as version 0 of both roles.

    `data` is the data folder, `model` the base model's folder or hub name.

    Raises:
        DatabaseError: the database cannot be written.
    """
    async with database.session() as session:
        await CheckpointRepository(session).ensure_base_checkpoints(model)
    return Registry(database, data, engine, model)


class Registry:
    """The checkpoints of one server. Belongs to one event loop.

    The engine of a role holds full weights, the base model's or a full checkpoint's, and any
    number of adapters for them. Adapters are loaded and unloaded independently; other full weights
    need `replace`.
    """

    def __init__(self, database: Database, data: Path, engine: AdapterEngine, model: str) -> None:
        self._engine = engine
        self._store = CheckpointStore(database, data, model, engine)
        self._weights = {role: Weights(role, BASE_VERSION, self._store.model) for role in Role}
        self._locks = {role: asyncio.Lock() for role in Role}
        self._versions: Versions | None = None
        self._opened = asyncio.Event()
        self._loading: dict[Checkpoint, asyncio.Task[None]] = {}
        self._loaded: dict[Checkpoint, float] = {}

    @property
    def ready(self) -> bool:
        """Whether there are versions to pin requests to."""
        return self._versions is not None

    @property
    def versions(self) -> Versions:
        """The versions that new requests are pinned to; read them once per request.

        Raises:
            EngineUnavailable: the first versions are not loaded yet.
        """
        if self._versions is None:
            raise EngineUnavailable("the checkpoints are being loaded; try again", retry_after=5)
        return self._versions

    @property
    def loaded(self) -> frozenset[Checkpoint]:
        """The adapters that are loaded."""
        return frozenset(self._loaded)

    @property
    def intact(self) -> bool:
        """Whether the engine holds the versions that new requests are pinned to."""
        served = self._versions
        return served is not None and all(self._holds(role, served.of(role)) for role in Role)

    async def wait_ready(self) -> None:
        """Wait until the first versions are loaded."""
        await self._opened.wait()

    def activate(self, versions: Versions) -> None:
        """Pin new requests to these versions, which must have been prepared."""
        if self._versions is not None:
            for role in Role:  # running searches still use them
                self._touch((role, self._versions.of(role)))
        self._versions = versions
        self._opened.set()

    async def pin(self, actor: int | None = None, refiner: int | None = None) -> Versions:
        """The versions of one request: the served ones, unless it names others.

        Raises:
            SparError: what `prepare` raises.
            EngineUnavailable: the first versions are not loaded yet.
        """
        versions = self.versions
        for role, version in ((Role.ACTOR, actor), (Role.REFINER, refiner)):
            if version is not None:
                await self.prepare(role, version)
                versions = versions.with_version(role, version)
        return versions

    async def resolve(self, name: str) -> Checkpoint:
        """The checkpoint of a name such as `actor@12`, prepared; see `prepare`."""
        checkpoint = parse_served_name(name)
        if checkpoint is None:
            raise NotFound(f"{name!r} is not the name of a checkpoint, such as actor@12")
        await self.prepare(*checkpoint)
        return checkpoint

    async def prepare(self, role: Role, version: int) -> None:
        """Verify and load a checkpoint, unless it is loaded.

        Concurrent callers share one load, which continues if one of them is cancelled.

        Raises:
            NotFound: there is no such checkpoint.
            CheckpointRefused: it cannot be served; the reason is also recorded on its row.
            Conflict: it needs other full weights than the engine holds.
            EngineUnavailable: the engine is not running.
            DatabaseError: the database cannot be read.
        """
        checkpoint = (role, version)
        if self._holds(role, version):
            self._touch(checkpoint)
            return
        work = self._loading.get(checkpoint)
        if work is None:
            work = asyncio.create_task(self._load(role, version), name=f"load {role}@{version}")
            self._loading[checkpoint] = work
            work.add_done_callback(lambda done: self._forget(checkpoint, done))
        await asyncio.shield(work)

    async def needed(self, versions: Versions) -> list[Weights]:
        """The verified full weights to `replace` before these versions can be prepared, if any.

        Raises:
            SparError: what `prepare` raises.
        """
        found = []
        for role in Role:
            if self._holds(role, versions.of(role)):
                continue
            stored = await self._store.get(role, versions.of(role))
            base_checkpoint = await self._store.base_checkpoint(stored)
            if base_checkpoint.version != self._weights[role].version:
                async with self._store.recorded(base_checkpoint):
                    folder = await self._store.weights_folder(base_checkpoint)
                found.append(Weights(role, base_checkpoint.version, folder))
        return found

    async def replace(self, needed: Sequence[Weights], versions: Versions) -> None:
        """Replace full weights and activate these versions, or restore the previous ones.

        The engine must be drained. If the previous weights cannot be restored either, `intact` is
        false afterwards.

        Raises:
            SparError: what `prepare` raises.
        """
        before = [self._weights[weights.role] for weights in needed]
        try:
            for weights in needed:
                await self._load_weights(weights)
            for role in Role:
                await self.prepare(role, versions.of(role))
        except SparError:
            await self._restore(before)
            raise
        self.activate(versions)

    async def retire(self, kept: Set[Checkpoint], idle_seconds: float) -> None:
        """Unload adapters that are neither kept nor served, and unused for `idle_seconds`.

        Raises:
            EngineUnavailable: the engine failed; the next call retries the remaining ones.
        """
        served = set() if self._versions is None else {(r, self._versions.of(r)) for r in Role}
        for role, version in self._loaded.keys() - kept - served:
            if self._locks[role].locked():
                continue  # it may be loading this version; the next call tries again
            async with self._locks[role]:
                await self._unload_idle((role, version), idle_seconds)

    async def close(self) -> None:
        """Cancel the loads in progress."""
        tasks = list(self._loading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _unload_idle(self, checkpoint: Checkpoint, idle_seconds: float) -> None:
        """Requires the role's lock, so that a concurrent load waits for the unload."""
        used = self._loaded.get(checkpoint)
        if used is None or asyncio.get_running_loop().time() - used < idle_seconds:
            return
        del self._loaded[checkpoint]
        try:
            await self._engine.unload_adapter(served_name(*checkpoint))
        except SparError:
            self._loaded[checkpoint] = used  # so that it is tried again
            raise

    def _touch(self, checkpoint: Checkpoint) -> None:
        if checkpoint in self._loaded:
            self._loaded[checkpoint] = asyncio.get_running_loop().time()

    def _forget(self, checkpoint: Checkpoint, work: asyncio.Task[None]) -> None:
        del self._loading[checkpoint]
        if not work.cancelled():
            work.exception()  # marks it as retrieved: all callers may have been cancelled

    def _holds(self, role: Role, version: int) -> bool:
        return version == self._weights[role].version or (role, version) in self._loaded

    async def _load(self, role: Role, version: int) -> None:
        async with self._locks[role]:
            if self._holds(role, version):
                return  # loaded by `replace` while this waited for the lock
            stored = await self._store.get(role, version)
            held = self._weights[role]
            async with self._store.recorded(stored):
                self._store.check_kind(stored)
                base_checkpoint = await self._store.base_checkpoint(stored)
                if base_checkpoint.version != held.version:
                    raise Conflict(
                        f"{served_name(role, version)} cannot be used now: it needs the"
                        f" weights of {served_name(role, base_checkpoint.version)}, and the engine"
                        " holds"
                        f" those of {served_name(role, held.version)}"
                    )
                folder = await self._store.adapter_folder(stored, held.folder)
                await self._engine.load_adapter(served_name(role, version), folder)
            self._loaded[role, version] = asyncio.get_running_loop().time()

    async def _load_weights(self, weights: Weights) -> None:
        # Wait for the adapter that is being loaded: it is for the old weights.
        async with self._locks[weights.role]:
            name = served_name(weights.role, weights.version)
            await self._engine.load_weights(name, weights.folder)
            self._weights[weights.role] = weights
            for checkpoint in [one for one in self._loaded if one[0] is weights.role]:
                del self._loaded[checkpoint]

    async def _restore(self, before: Sequence[Weights]) -> None:
        """Restore the previous weights; a failure is only logged."""
        try:
            for weights in before:
                if self._weights[weights.role] != weights:
                    await self._load_weights(weights)
                    if self._versions is not None:
                        await self.prepare(weights.role, self._versions.of(weights.role))
        except SparError as error:
            log.error("the engine cannot restore the previous weights: %s", error.message)

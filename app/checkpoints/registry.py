"""Which checkpoints this server serves, and how one becomes fit to be served."""

import asyncio
import logging
from collections.abc import Set
from pathlib import Path

from app.checkpoints.verify import verify
from app.db.checkpoints import BASE_VERSION, CheckpointRepository, StoredCheckpoint
from app.db.session import Database
from app.domain.checkpoint import (
    CheckpointKind,
    Role,
    Versions,
    parse_served_name,
    served_name,
)
from app.engine.base import AdapterEngine
from app.errors import CheckpointRefused, DatabaseError, EngineUnavailable, NotFound

log = logging.getLogger(__name__)

Checkpoint = tuple[Role, int]
"""A role and its version."""


async def open_registry(
    database: Database, data: Path, engine: AdapterEngine, model: str
) -> "Registry":
    """Record the base model as version 0 of both roles, and open the record of versions.

    `data` is the data folder, `model` the base model's folder or hub name. Raises
    `DatabaseError`.
    """
    async with database.session() as session:
        await CheckpointRepository(session).ensure_base_checkpoints(model)
    return Registry(database, data, engine, model)


class Registry:
    """The checkpoints of one server. Belongs to one event loop."""

    def __init__(self, database: Database, data: Path, engine: AdapterEngine, model: str) -> None:
        self._database = database
        self._data = data
        self._engine = engine
        self._model = model
        self._versions: Versions | None = None
        self._opened = asyncio.Event()
        self._loading: dict[Checkpoint, asyncio.Task[None]] = {}
        self._loaded: dict[Checkpoint, float] = {}

    @property
    def ready(self) -> bool:
        """Whether there is something to pin requests to."""
        return self._versions is not None

    @property
    def versions(self) -> Versions:
        """What new requests are pinned to; read it once per request.

        Raises `EngineUnavailable` until the first versions are loaded.
        """
        if self._versions is None:
            raise EngineUnavailable("the checkpoints are being loaded; try again", retry_after=5)
        return self._versions

    @property
    def loaded(self) -> frozenset[Checkpoint]:
        """The checkpoints that the engine holds; base models are not among them."""
        return frozenset(self._loaded)

    async def wait_ready(self) -> None:
        """Wait for the first versions."""
        await self._opened.wait()

    def flip(self, versions: Versions) -> None:
        """Pin requests from now on to these versions, which must have been prepared."""
        if self._versions is not None:
            for role in Role:  # the searches that run on them keep them in use for a while
                self._touch((role, self._versions.of(role)))
        self._versions = versions
        self._opened.set()

    async def pin(self, actor: int | None = None, refiner: int | None = None) -> Versions:
        """The versions of one request: those served now, or the wanted ones in their place.

        Raises as `prepare` does, and `EngineUnavailable` until the first versions are loaded.
        """
        versions = self.versions
        for role, version in ((Role.ACTOR, actor), (Role.REFINER, refiner)):
            if version is not None:
                await self.prepare(role, version)
                versions = versions.with_version(role, version)
        return versions

    async def resolve(self, name: str) -> Checkpoint:
        """The checkpoint of a name such as `actor@12`, fit to be served; see `prepare`."""
        checkpoint = parse_served_name(name)
        if checkpoint is None:
            raise NotFound(f"{name!r} is no name of a checkpoint, such as actor@12")
        await self.prepare(*checkpoint)
        return checkpoint

    async def prepare(self, role: Role, version: int) -> None:
        """Verify and load a checkpoint, unless that is done already.

        Several callers at once wait for the same work, which goes on when one of them is
        cancelled. Raises `NotFound`, `CheckpointRefused` (also kept on the checkpoint's row),
        `EngineUnavailable` and `DatabaseError`.
        """
        checkpoint = (role, version)
        if version == BASE_VERSION or checkpoint in self._loaded:
            self._touch(checkpoint)
            return
        work = self._loading.get(checkpoint)
        if work is None:
            work = asyncio.create_task(self._load(role, version), name=f"load {role}@{version}")
            self._loading[checkpoint] = work
            work.add_done_callback(lambda done: self._forget(checkpoint, done))
        await asyncio.shield(work)

    async def retire(self, kept: Set[Checkpoint], idle_seconds: float) -> None:
        """Unload what is neither kept, nor served, nor was asked for in so many seconds."""
        now = asyncio.get_running_loop().time()
        served = set() if self._versions is None else {(r, self._versions.of(r)) for r in Role}
        for checkpoint, used in list(self._loaded.items()):
            if checkpoint not in kept | served and now - used >= idle_seconds:
                del self._loaded[checkpoint]
                await self._engine.unload_adapter(served_name(*checkpoint))

    async def close(self) -> None:
        """Stop what is being loaded."""
        tasks = list(self._loading.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _touch(self, checkpoint: Checkpoint) -> None:
        if checkpoint in self._loaded:
            self._loaded[checkpoint] = asyncio.get_running_loop().time()

    def _forget(self, checkpoint: Checkpoint, work: asyncio.Task[None]) -> None:
        del self._loading[checkpoint]
        if not work.cancelled():
            work.exception()  # whoever waits gets it; perhaps nobody does any more

    async def _load(self, role: Role, version: int) -> None:
        name = served_name(role, version)
        async with self._database.session() as session:
            stored = await CheckpointRepository(session).get(role, version)
        if stored is None:
            raise NotFound(f"there is no checkpoint {name}")
        try:
            folder = await self._verified(stored)
            await self._engine.load_adapter(name, folder)
        except CheckpointRefused as error:
            refusal = f"{name} cannot be served: {error.message}"
            await self._record(stored, refusal)
            raise CheckpointRefused(refusal) from error
        self._loaded[role, version] = asyncio.get_running_loop().time()
        await self._record(stored, None)

    async def _verified(self, stored: StoredCheckpoint) -> Path:
        """The folder of a checkpoint, its content checked. Raises `CheckpointRefused`."""
        if stored.kind is not CheckpointKind.LORA:
            raise CheckpointRefused(
                f"it is of kind {stored.kind}, and this server loads adapters (lora) only"
            )
        if stored.path is None or stored.digest is None:
            raise CheckpointRefused("its training has not finished")
        data = self._data.resolve()
        folder = (data / stored.path).resolve()
        if not folder.is_relative_to(data):
            raise CheckpointRefused(f"its folder {stored.path} lies outside the data folder")
        await asyncio.to_thread(
            verify,
            folder,
            stored.digest,
            role=stored.role,
            version=stored.version,
            base_model=self._model,
            max_rank=self._engine.max_adapter_rank,
            targets=self._engine.adapter_targets,
        )
        return folder

    async def _record(self, stored: StoredCheckpoint, error: str | None) -> None:
        """Keep on the row what is wrong with a checkpoint, or that nothing is."""
        if stored.error == error:
            return
        try:
            async with self._database.session() as session:
                await CheckpointRepository(session).record_error(stored.role, stored.version, error)
        except DatabaseError as trouble:
            # The row is for people to read; what the caller gets does not depend on it.
            log.warning("%s could not be recorded: %s", error, trouble.message)

"""What is recorded of checkpoints, and their folders, checked."""

import asyncio
import logging
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

from app.checkpoints.place import place
from app.checkpoints.verify import verify, verify_full
from app.db.checkpoints import CheckpointRepository, StoredCheckpoint
from app.db.session import Database
from app.domain.checkpoint import CheckpointKind, Role, served_name
from app.errors import CheckpointRefused, DatabaseError, NotFound

log = logging.getLogger(__name__)


class Limits(Protocol):
    """What an engine can serve; see `app.engine.base.AdapterEngine`."""

    @property
    def separate_roles(self) -> bool: ...

    @property
    def max_adapter_rank(self) -> int: ...

    @property
    def adapter_targets(self) -> Set[str] | None: ...


class CheckpointStore:
    """Reads checkpoints for a server whose engine has these limits.

    `data` is the data folder, `model` the base model's folder or hub name.
    """

    def __init__(self, database: Database, data: Path, model: str, limits: Limits) -> None:
        self._database = database
        self._data = data
        self._model = model
        self._limits = limits

    @property
    def model(self) -> Path:
        """The base model's folder (or hub name)."""
        return Path(self._model)

    async def get(self, role: Role, version: int) -> StoredCheckpoint:
        """What is recorded of a checkpoint. Raises `NotFound` and `DatabaseError`."""
        async with self._database.session() as session:
            stored = await CheckpointRepository(session).get(role, version)
        if stored is None:
            raise NotFound(f"there is no checkpoint {served_name(role, version)}")
        return stored

    async def ground(self, stored: StoredCheckpoint) -> StoredCheckpoint:
        """The checkpoint whose whole weights a checkpoint needs; see `CheckpointRepository.ground`.

        Raises `CheckpointRefused` and `DatabaseError`.
        """
        async with self._database.session() as session:
            ground = await CheckpointRepository(session).ground(stored)
        if ground is None:
            raise CheckpointRefused("what it was trained on is not recorded")
        return ground

    async def adapter_folder(self, stored: StoredCheckpoint, weights: Path) -> Path:
        """The folder of an adapter for these weights, checked. Raises `CheckpointRefused`."""
        folder, digest = place(stored, self._data)
        await asyncio.to_thread(
            verify,
            folder,
            digest,
            role=stored.role,
            version=stored.version,
            base_model=str(weights),
            max_rank=self._limits.max_adapter_rank,
            targets=self._limits.adapter_targets,
        )
        return folder

    def check_kind(self, stored: StoredCheckpoint) -> None:
        """Raise `CheckpointRefused` for full weights that the engine has no place for."""
        if stored.kind is CheckpointKind.FULL and not self._limits.separate_roles:
            raise CheckpointRefused(
                "it is a full checkpoint, which would replace the other role's model too: set"
                " SPAR_SEPARATE_ENGINES=true to run an engine for each role"
            )

    async def weights_folder(self, stored: StoredCheckpoint) -> Path:
        """The folder of full weights, checked, or of the base model, as it is.

        Raises `CheckpointRefused`.
        """
        if stored.kind is CheckpointKind.BASE:
            return self.model
        self.check_kind(stored)
        folder, digest = place(stored, self._data)
        await asyncio.to_thread(
            verify_full,
            folder,
            digest,
            role=stored.role,
            version=stored.version,
            base_model=self._model,
        )
        return folder

    @asynccontextmanager
    async def recorded(self, stored: StoredCheckpoint) -> AsyncIterator[None]:
        """Keep on the row why the block refused the checkpoint, or that it did not.

        The refusal is raised again, with the checkpoint's name.
        """
        try:
            yield
        except CheckpointRefused as error:
            refusal = f"{served_name(stored.role, stored.version)} cannot be served: "
            refusal += error.message
            await self._record(stored, refusal)
            raise CheckpointRefused(refusal) from error
        await self._record(stored, None)

    async def _record(self, stored: StoredCheckpoint, error: str | None) -> None:
        if stored.error == error:
            return
        try:
            async with self._database.session() as session:
                await CheckpointRepository(session).record_error(stored.role, stored.version, error)
        except DatabaseError as trouble:
            # The row is for people to read; what the caller gets does not depend on it.
            log.warning("%s could not be recorded: %s", error, trouble.message)

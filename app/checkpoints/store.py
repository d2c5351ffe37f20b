"""Reads checkpoints: their records in the database, and their verified folders."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator, Set
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path, PurePath
from typing import Protocol

from app.checkpoints.formats import check_adapter, check_model
from app.checkpoints.manifest import (
    MANIFEST,
    FileEntry,
    Manifest,
    fingerprint,
    hash_file,
    place,
    read_manifest,
)
from app.db.checkpoints import CheckpointRepository, StoredCheckpoint
from app.db.session import Database
from app.domain.checkpoint import CheckpointKind, Role, served_name
from app.errors import CheckpointRefused, DatabaseError, NotFound

SAFE_SUFFIXES = frozenset({".safetensors", ".json", ".txt", ".jinja"})
SAFE_NAMES = frozenset({"tokenizer.model"})
PICKLES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})


def verify(
    folder: Path,
    digest: str,
    *,
    role: Role,
    version: int,
    base_model: str,
    max_rank: int,
    targets: Set[str] | None,
) -> None:
    """Check that an adapter's folder can be served.

    digest: the recorded hash of the manifest.
    base_model: the folder or hub name of the weights that are served under it.
    max_rank: the highest rank the engine takes.
    targets: the layers it lets adapters change, such as `down_proj`; None for all.

    Reads every byte of the folder, so call it in a thread.

    Raises:
        CheckpointRefused: it cannot be served; with the reason.
    """
    with readable():
        manifest = read_manifest(folder, digest)
        _check_identity(manifest, CheckpointKind.LORA, role, version, base_model)
        _check_files(folder, manifest)
        check_adapter(folder, base_model=base_model, max_rank=max_rank, targets=targets)


def verify_full(folder: Path, digest: str, *, role: Role, version: int, base_model: str) -> None:
    """Check that a folder of full weights can be served.

    See `verify`. base_model: the model that the weights descend from, over any number of trainings.

    Raises:
        CheckpointRefused: it cannot be served; with the reason.
    """
    with readable():
        manifest = read_manifest(folder, digest)
        _check_identity(manifest, CheckpointKind.FULL, role, version, base_model)
        _check_files(folder, manifest)
        check_model(folder, base_model=base_model)


def verify_files(folder: Path, digest: str, role: Role, version: int) -> None:
    """Check that a folder holds this checkpoint, with its files as sealed.

    Does not check whether an engine can serve it; see `verify`.

    Raises:
        CheckpointRefused: a file is missing, damaged or not in the manifest.
    """
    with readable():
        manifest = read_manifest(folder, digest)
        _check_name_of(manifest, role, version)
        _check_files(folder, manifest)


@contextmanager
def readable() -> Iterator[None]:
    """Turn an `OSError` of the block into a `CheckpointRefused` that names the file."""
    try:
        yield
    except OSError as error:
        raise CheckpointRefused(f"{error.filename} cannot be read: {error.strerror}") from error


def _check_identity(
    manifest: Manifest, kind: CheckpointKind, role: Role, version: int, base_model: str
) -> None:
    _check_name_of(manifest, role, version)
    if manifest.kind is not kind:
        raise CheckpointRefused(
            f"the folder holds a checkpoint of kind {manifest.kind}, not {kind}"
        )
    if manifest.base != fingerprint(base_model):
        raise CheckpointRefused(f"it was made for another base model than {base_model}")


def _check_name_of(manifest: Manifest, role: Role, version: int) -> None:
    if (manifest.role, manifest.version) != (role, version):
        found = served_name(manifest.role, manifest.version)
        raise CheckpointRefused(f"the folder holds {found}, not {served_name(role, version)}")


def _check_files(folder: Path, manifest: Manifest) -> None:
    _check_names(folder, manifest)
    for name, entry in manifest.files.items():
        _check_content(folder / name, entry)


def _check_names(folder: Path, manifest: Manifest) -> None:
    """The files are exactly those of the manifest, and of safe kinds."""
    for name in manifest.files:
        _check_name(name)
    there = {path.name: path for path in folder.iterdir()}
    for name, path in there.items():
        if path.is_symlink() or not path.is_file():
            raise CheckpointRefused(f"{name} is not a plain file")
        if name not in manifest.files and name != MANIFEST:
            raise CheckpointRefused(f"{name} is not named in the manifest")
    missing = sorted(set(manifest.files) - set(there))
    if missing:
        raise CheckpointRefused(f"{missing[0]} is missing")


def _check_name(name: str) -> None:
    if PurePath(name).name != name or "\\" in name or name == MANIFEST:
        raise CheckpointRefused(f"the manifest names {name!r}, which is not the name of a file")
    if PurePath(name).suffix.lower() in PICKLES:
        raise CheckpointRefused(f"{name} may hold a pickle, which can run any program when loaded")
    if not is_safe(name):
        raise CheckpointRefused(f"{name} is not a kind of file that a checkpoint may hold")


def is_safe(name: str) -> bool:
    """Whether a checkpoint may hold a file of this name: none of these kinds runs code."""
    return PurePath(name).suffix.lower() in SAFE_SUFFIXES or name in SAFE_NAMES


def _check_content(path: Path, entry: FileEntry) -> None:
    size = path.stat().st_size
    if size != entry.bytes:
        state = "is cut short" if size < entry.bytes else "is too long"
        raise CheckpointRefused(f"{path.name} {state}: {size} bytes instead of {entry.bytes}")
    if hash_file(path) != entry.sha256:
        raise CheckpointRefused(f"{path.name} is damaged: its content is not what was recorded")


log = logging.getLogger(__name__)


class Limits(Protocol):
    """The limits of an engine; see `app.engine.base.AdapterEngine`."""

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
        """The record of a checkpoint.

        Raises:
            NotFound: there is no such checkpoint.
            DatabaseError: the database cannot be read.
        """
        async with self._database.session() as session:
            stored = await CheckpointRepository(session).get(role, version)
        if stored is None:
            raise NotFound(f"there is no checkpoint {served_name(role, version)}")
        return stored

    async def base_checkpoint(self, stored: StoredCheckpoint) -> StoredCheckpoint:
        """The checkpoint with the full weights that a checkpoint needs; the same one if it is full.

        Raises:
            CheckpointRefused: the checkpoint that it was trained on is not recorded.
            DatabaseError: the database cannot be read.
        """
        async with self._database.session() as session:
            base_checkpoint = await CheckpointRepository(session).base_checkpoint(stored)
        if base_checkpoint is None:
            raise CheckpointRefused("the checkpoint that it was trained on is not recorded")
        return base_checkpoint

    async def adapter_folder(self, stored: StoredCheckpoint, weights: Path) -> Path:
        """The verified folder of an adapter for these weights.

        Raises:
            CheckpointRefused: the files are damaged or cannot be served with these weights.
        """
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
        """Check that this kind of checkpoint can be served.

        Raises:
            CheckpointRefused: it has full weights, and both roles share one engine.
        """
        if stored.kind is CheckpointKind.FULL and not self._limits.separate_roles:
            raise CheckpointRefused(
                "it is a full checkpoint, which would replace the other role's model too: set"
                " SPAR_SEPARATE_ENGINES=true to run an engine for each role"
            )

    async def weights_folder(self, stored: StoredCheckpoint) -> Path:
        """The verified folder of full weights, or the folder of the base model.

        Raises:
            CheckpointRefused: the files are damaged or cannot be served.
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
        """Record on the row why the block refused the checkpoint, or that it did not.

        Raises:
            CheckpointRefused: the block's refusal, with the checkpoint's name.
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
        except DatabaseError as failure:
            # The record is informative only: the caller's result does not depend on it.
            log.warning("%s could not be recorded: %s", error, failure.message)

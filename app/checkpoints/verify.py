"""Whether a checkpoint folder is what was recorded, whole, and safe to load."""

from collections.abc import Iterator, Set
from contextlib import contextmanager
from pathlib import Path, PurePath

from app.checkpoints.adapter import check_adapter
from app.checkpoints.manifest import (
    MANIFEST,
    FileEntry,
    Manifest,
    fingerprint,
    hash_file,
    read_manifest,
)
from app.checkpoints.model import check_model
from app.domain.checkpoint import CheckpointKind, Role, served_name
from app.errors import CheckpointRefused

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
    """Raise `CheckpointRefused` with the reason unless an adapter's folder can be served.

    digest: the recorded hash of the manifest.
    base_model: the folder or hub name of the weights that are served under it.
    max_rank: the highest rank the engine takes.
    targets: the layers it lets adapters change, such as `down_proj`; None for all.

    Reads every byte of the folder, so call it in a thread.
    """
    with _readable():
        manifest = read_manifest(folder, digest)
        _check_identity(manifest, CheckpointKind.LORA, role, version, base_model)
        _check_files(folder, manifest)
        check_adapter(folder, base_model=base_model, max_rank=max_rank, targets=targets)


def verify_full(folder: Path, digest: str, *, role: Role, version: int, base_model: str) -> None:
    """Raise `CheckpointRefused` with the reason unless a folder of full weights can be served.

    See `verify`. `base_model` is what the engine was started with at first: the weights may have
    been trained over any number of full checkpoints since.
    """
    with _readable():
        manifest = read_manifest(folder, digest)
        _check_identity(manifest, CheckpointKind.FULL, role, version, base_model)
        _check_files(folder, manifest)
        check_model(folder, base_model=base_model)


def verify_files(folder: Path, digest: str, role: Role, version: int) -> None:
    """Raise `CheckpointRefused` unless a folder is this checkpoint's, with all its files as sealed.

    Whether an engine can serve it is not looked at. See `verify`.
    """
    with _readable():
        manifest = read_manifest(folder, digest)
        _check_name_of(manifest, role, version)
        _check_files(folder, manifest)


@contextmanager
def _readable() -> Iterator[None]:
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
    """The files are those of the manifest, no more and no less, and of safe kinds."""
    for name in manifest.files:
        _check_name(name)
    there = {path.name: path for path in folder.iterdir()}
    for name, path in there.items():
        if path.is_symlink() or not path.is_file():
            raise CheckpointRefused(f"{name} is not a plain file")
        if name not in manifest.files and name != MANIFEST:
            raise CheckpointRefused(f"{name} is there, and the manifest does not name it")
    missing = sorted(set(manifest.files) - set(there))
    if missing:
        raise CheckpointRefused(f"{missing[0]} is missing")


def _check_name(name: str) -> None:
    if PurePath(name).name != name or "\\" in name or name == MANIFEST:
        raise CheckpointRefused(f"the manifest names {name!r}, which is no file of the folder")
    suffix = PurePath(name).suffix.lower()
    if suffix in PICKLES:
        raise CheckpointRefused(f"{name} may hold a pickle, which can run any program when loaded")
    if suffix not in SAFE_SUFFIXES and name not in SAFE_NAMES:
        raise CheckpointRefused(f"{name} is of a kind that a checkpoint does not hold")


def _check_content(path: Path, entry: FileEntry) -> None:
    size = path.stat().st_size
    if size != entry.bytes:
        state = "is cut short" if size < entry.bytes else "is too long"
        raise CheckpointRefused(f"{path.name} {state}: {size} bytes instead of {entry.bytes}")
    if hash_file(path) != entry.sha256:
        raise CheckpointRefused(f"{path.name} is damaged: its content is not what was recorded")

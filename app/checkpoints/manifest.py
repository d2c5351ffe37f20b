"""The manifest of a checkpoint folder: its files with their hashes.

It is written last and atomically: a folder without one is incomplete. Its own hash is stored in
the database, so that any change in the folder is detected.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from app.checkpoints.formats import read_model_tensors
from app.db.checkpoints import StoredCheckpoint
from app.domain.checkpoint import CheckpointKind, Role
from app.errors import CheckpointRefused


def place(stored: StoredCheckpoint, data: Path) -> tuple[Path, str]:
    """A checkpoint's folder, which is inside the data folder, and its manifest's hash.

    Raises:
        CheckpointRefused: there is no such folder inside the data folder.
    """
    if stored.path is None or stored.digest is None:
        raise CheckpointRefused("its training has not finished")
    data = data.resolve()
    folder = (data / stored.path).resolve()
    if not folder.is_relative_to(data):
        raise CheckpointRefused(f"its folder {stored.path} lies outside the data folder")
    return folder, stored.digest


MANIFEST = "manifest.json"
UNFINISHED = f"{MANIFEST}.part"
SAMPLES = 256
SAMPLE_BYTES = 1024
"""Number and length of the pieces of each weights file that go into a fingerprint."""

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class FileEntry(BaseModel):
    """One file: its SHA-256 hash in hexadecimal, and its length in bytes."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    sha256: Sha256
    bytes: int = Field(ge=0)


class Manifest(BaseModel):
    """The content of a checkpoint folder.

    base: a `fingerprint`. For an adapter, of the weights that it is for: the base model's or a
        full checkpoint's. For full weights, of the base model that they descend from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    role: Role
    version: int = Field(ge=1)
    kind: CheckpointKind
    base: str
    files: dict[str, FileEntry]


def seal(folder: Path, role: Role, version: int, kind: CheckpointKind, base: str) -> str:
    """Write the manifest of a finished checkpoint folder, and return the manifest's hash.

    All files are flushed to disk. Sealing again changes nothing.

    Raises:
        CheckpointRefused: the folder was sealed with other content.
        OSError: a file cannot be read or written.
    """
    files = {}
    for path in sorted(folder.iterdir()):
        if path.name not in (MANIFEST, UNFINISHED):
            files[path.name] = FileEntry(sha256=hash_file(path), bytes=path.stat().st_size)
            _flush(path)
    manifest = Manifest(role=role, version=version, kind=kind, base=base, files=files)
    content = (json.dumps(manifest.model_dump(mode="json"), indent=1) + "\n").encode()
    target = folder / MANIFEST
    if not target.exists():
        _write(target, content)
    elif target.read_bytes() != content:
        raise CheckpointRefused(f"{folder.name} was sealed already, with other content")
    _flush(folder)
    _flush(folder.parent)
    return hashlib.sha256(content).hexdigest()


def read_manifest(folder: Path, digest: str) -> Manifest:
    """The manifest, whose hash must be the recorded one.

    Raises:
        CheckpointRefused: the manifest is missing or has another hash.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
    except FileNotFoundError:
        raise CheckpointRefused(
            f"there is no {MANIFEST} in {folder}: the checkpoint is missing or incomplete"
        ) from None
    except OSError as error:
        raise CheckpointRefused(f"{MANIFEST} cannot be read: {error.strerror}") from error
    try:
        manifest = Manifest.model_validate_json(content)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise CheckpointRefused(f"{MANIFEST} is damaged or cut short: {reason}") from error
    if hashlib.sha256(content).hexdigest() != digest:
        raise CheckpointRefused(f"{MANIFEST} is not the one that was recorded")
    return manifest


def fingerprint(model: str | Path) -> str:
    """A hash that identifies a base model by its content, in whatever folder it is.

    For a folder it covers the configuration, the tensors' names, types and shapes, the files'
    sizes, and samples of the weights, in which a fine-tuned model differs from its base. For a hub
    name it covers the name.

    Raises:
        CheckpointRefused: the folder cannot be read.
    """
    folder = Path(model)
    if not folder.is_dir():
        return hashlib.sha256(f"hub:{model}".encode()).hexdigest()
    digest = hashlib.sha256()
    try:
        config = json.loads((folder / "config.json").read_bytes())
        if not isinstance(config, dict):
            raise ValueError("config.json is not a JSON object")
        # The version of the library that wrote the file does not affect the weights.
        config.pop("transformers_version", None)
        digest.update(json.dumps(config, sort_keys=True).encode())
        for name, tensor in sorted(read_model_tensors(folder).items()):
            digest.update(f"{name} {tensor.dtype} {tensor.shape}\n".encode())
        for file in sorted(folder.glob("*.safetensors")):
            digest.update(_sample(file))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointRefused(f"the base model in {folder} cannot be read: {error}") from error
    return digest.hexdigest()


def hash_file(path: Path) -> str:
    """SHA-256 of a file's content, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sample(path: Path) -> bytes:
    """The file's name and size, and evenly spaced pieces of it."""
    size = path.stat().st_size
    with path.open("rb") as file:
        pieces = [f"{path.name} {size}\n".encode()]
        for index in range(1, SAMPLES + 1):
            file.seek(max(0, size * index // SAMPLES - SAMPLE_BYTES))
            pieces.append(file.read(SAMPLE_BYTES))
    return b"".join(pieces)


def _write(target: Path, content: bytes) -> None:
    unfinished = target.with_name(UNFINISHED)
    with unfinished.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(target)


def _flush(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)

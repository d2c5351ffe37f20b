"""Where a checkpoint's files are."""

from pathlib import Path

from app.db.checkpoints import StoredCheckpoint
from app.errors import CheckpointRefused


def place(stored: StoredCheckpoint, data: Path) -> tuple[Path, str]:
    """A checkpoint's folder, never outside the data folder, and its manifest's hash.

    Raises `CheckpointRefused`.
    """
    if stored.path is None or stored.digest is None:
        raise CheckpointRefused("its training has not finished")
    data = data.resolve()
    folder = (data / stored.path).resolve()
    if not folder.is_relative_to(data):
        raise CheckpointRefused(f"its folder {stored.path} lies outside the data folder")
    return folder, stored.digest

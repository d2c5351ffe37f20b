"""A small tmpfs that can be filled."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

FILLER = "filler"
BLOCK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Disk:
    """A mounted folder."""

    folder: Path

    def fill(self) -> None:
        """Leave no byte free."""
        with suppress(OSError), (self.folder / FILLER).open("ab", buffering=0) as filler:
            while True:
                filler.write(b"\0" * BLOCK)

    def clear(self) -> None:
        """Remove the filler."""
        (self.folder / FILLER).unlink(missing_ok=True)


@contextmanager
def small_disk(folder: Path, mib: int) -> Iterator[Disk | None]:
    """A tmpfs of `mib` MiB mounted at `folder`; None without permission to mount."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={mib}m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield Disk(folder)
    finally:
        # Lazy unmount: works with files still open.
        subprocess.run(["umount", "-l", str(folder)], capture_output=True, check=True)

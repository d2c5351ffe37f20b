"""`server.json` in the data folder: the address of the server that was started last.

The command line reads it, so that its calls reach a server on any port without an option.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ValidationError

from app.config.settings import EVERYWHERE, Settings, reachable

NAME = "server.json"


class _Entry(BaseModel):
    """started_at: Unix time in seconds."""

    url: str
    pid: int
    started_at: int


@contextmanager
def announced(folder: Path, url: str) -> Iterator[None]:
    """Name the server at `url` in the data folder while the context lasts.

    At the end the file is removed, unless another server has written its own meanwhile.

    Raises:
        OSError: The folder cannot be written.
    """
    entry = _Entry(url=url, pid=os.getpid(), started_at=int(time.time()))
    file, part = folder / NAME, folder / f"{NAME}.{entry.pid}"
    folder.mkdir(parents=True, exist_ok=True)
    part.write_text(entry.model_dump_json(), encoding="utf-8")
    part.replace(file)
    try:
        yield
    finally:
        if _read(folder) == entry:
            file.unlink(missing_ok=True)


def server_address(settings: Settings) -> str:
    """The URL at which this machine reaches the server of these settings.

    A configured port (SPAR_PORT) or host decides; else the server that was started last in the
    data folder, if its process still exists; else the default address.
    """
    configured = settings.model_fields_set
    hosted = "host" in configured and settings.host not in EVERYWHERE
    entry = None if hosted or "port" in configured else _read(settings.data)
    if entry is not None and _exists(entry.pid):
        return entry.url
    return f"http://{reachable(settings.host)}:{settings.port}"


def _read(folder: Path) -> _Entry | None:
    """The entry of a data folder; None where there is none that can be read."""
    try:
        return _Entry.model_validate_json((folder / NAME).read_bytes())
    except (OSError, ValidationError):
        return None


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True  # It is another user's.
    except (ProcessLookupError, OverflowError):
        return False
    return True

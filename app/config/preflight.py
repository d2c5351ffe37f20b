"""Checks of what can fail, before anything slow is started."""

import errno
import shutil
import socket
import sys
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryFile

from app.errors import ConfigurationError

NEEDED_BYTES = 200_000_000
SUPPORTED = ((3, 11), (3, 12))


def check_python(found: tuple[int, int] = sys.version_info[:2]) -> None:
    """Check the interpreter's (major, minor) version.

    Raises:
        ConfigurationError: it is not supported.
    """
    if found not in SUPPORTED:
        raise ConfigurationError(
            f"This is Python {found[0]}.{found[1]} ({sys.executable}); Python 3.11 or 3.12 is "
            "needed. Choose one, for example: `make serve PYTHON=python3.11`."
        )


def check_port(host: str, port: int) -> None:
    """Check that a server can listen on `port` of `host`; port 0 is any free port.

    Raises:
        ConfigurationError: the port is taken, or the host is not an address of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError) as error:
        raise _bad_host(host, "the name cannot be resolved") from error
    with closing(socket.socket(family, kind, protocol)) as probe:
        # As in uvicorn: otherwise a port in TIME_WAIT counts as taken.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            if error.errno not in (errno.EADDRINUSE, errno.EACCES):
                raise _bad_host(host, str(error.strerror)) from error
            raise ConfigurationError(
                f"Cannot listen on port {port} of {host}: {error.strerror}. Choose another port, "
                f"for example: `make serve PORT={_another(port)}`.",
                field="port",
            ) from error


def check_data_folder(folder: Path) -> None:
    """Create the folder, and check that it is writable and has 200 MB of free space.

    Raises:
        ConfigurationError: it is not writable, or the disk is full.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryFile(dir=folder) as probe:
            probe.write(b"x")
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise ConfigurationError(
            f"The data folder {folder.absolute()} cannot be written: {error.strerror}. Choose "
            "another one, for example: `make serve DATA=some/folder`.",
            field="data",
        ) from error
    if free < NEEDED_BYTES:
        raise ConfigurationError(
            f"The data folder {folder.absolute()} has {free // 1_000_000} MB of free disk; "
            f"{NEEDED_BYTES // 1_000_000} MB are needed. Free some, or choose another one, for "
            "example: `make serve DATA=some/folder`.",
            field="data",
        )


def check_sleep(wanted: bool) -> None:
    """Check that the engine can sleep, if `wanted`.

    Raises:
        ConfigurationError: vLLM's sleep mode is not available on this machine.
    """
    if not wanted:
        return
    from app.engine.arguments import can_sleep

    if not can_sleep():
        raise ConfigurationError(
            "SPAR_SLEEP_WHILE_TRAINING requires an engine on a GPU, and this one runs on the CPU: "
            "unset it.",
            field="sleep_while_training",
        )


def _another(port: int) -> int:
    # Ports below 1024 are privileged.
    return port + 1 if 1024 <= port < 65_535 else 8000


def _bad_host(host: str, reason: str) -> ConfigurationError:
    return ConfigurationError(
        f"Cannot listen on the host {host!r}: {reason}. Use 127.0.0.1 for this machine only, or "
        "0.0.0.0 for every network.",
        field="host",
    )

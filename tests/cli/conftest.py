"""Fixtures: the replaying server, and the command line under test."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import copy

import pytest
import uvicorn
from fastapi import FastAPI
from typer.testing import CliRunner, Result

from app.cli import cli
from app.db.checkpoints import CheckpointRepository
from app.db.recorder import Recorder
from app.db.session import Database
from tests.cli.endpoints import Endpoint
from tests.cli.replay import Run, Server, application
from tests.helpers.endpoint import admin_door
from tests.helpers.evaluating import evaluated_server
from tests.helpers.scripted_engine import Script, ScriptedEngine
from tests.helpers.scripts import verdict_of_critique


@contextmanager
def served(application: FastAPI) -> Iterator[str]:
    """The address of an application that is served meanwhile."""
    # Listening before the server runs, so that the first client may come at any time.
    listener = socket.create_server(("127.0.0.1", 0))
    runner = uvicorn.Server(uvicorn.Config(application, log_config=None))
    thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        runner.should_exit = True
        thread.join()


@contextmanager
def evaluated(script: Script, database: Path) -> Iterator[str]:
    """The address of a server to evaluate, whose model follows the script."""
    database_url = f"sqlite+aiosqlite:///{database}"
    engine = ScriptedEngine(script, verdict_of_critique)
    with served(evaluated_server(engine, database_url)) as url:
        yield url


@pytest.fixture(scope="session")
def _running() -> Iterator[Server]:
    server = Server("")
    with served(application(server)) as server.url:
        yield server


@pytest.fixture
def server(_running: Server) -> Server:
    """The server, without a script yet."""
    _running.reset()
    return _running


@pytest.fixture
def endpoint(migrated_file: Path, tmp_path: Path) -> Iterator[Endpoint]:
    """A real admin endpoint over an empty database."""
    database_url = f"sqlite+aiosqlite:///{copy(migrated_file, tmp_path / 'spar.db')}"
    database = Database(database_url)
    with served(admin_door(database, Recorder(database))) as url:
        endpoint = Endpoint(url, database_url)
        endpoint.do(lambda session: CheckpointRepository(session).ensure_base_checkpoints("base"))
        yield endpoint


@pytest.fixture
def spar(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line in this process."""
    for name in ("SPAR_URL", "SPAR_PORT", "SPAR_DATA", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    runner = CliRunner()

    def run(*arguments: str, stdin: bytes | None = None) -> Result:
        return runner.invoke(cli, arguments, input=stdin, catch_exceptions=False)

    return run

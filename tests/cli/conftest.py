"""Fixtures: the replaying server, and the command line under test."""

import socket
import threading
from collections.abc import Iterator

import pytest
import uvicorn
from typer.testing import CliRunner, Result

from app.cli import cli
from tests.cli.replay import Run, Server, application


@pytest.fixture(scope="session")
def _running() -> Iterator[Server]:
    # Listening before the server runs, so that the first client may come at any time.
    listener = socket.create_server(("127.0.0.1", 0))
    server = Server(f"http://127.0.0.1:{listener.getsockname()[1]}")
    runner = uvicorn.Server(uvicorn.Config(application(server), log_level="critical"))
    thread = threading.Thread(target=runner.run, kwargs={"sockets": [listener]})
    thread.start()
    yield server
    runner.should_exit = True
    thread.join()


@pytest.fixture
def server(_running: Server) -> Server:
    """The server, with nothing to say yet."""
    _running.reset()
    return _running


@pytest.fixture
def spar(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line in this process."""
    for name in ("SPAR_URL", "SPAR_PORT", "SPAR_DATA", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    runner = CliRunner()

    def run(*arguments: str, stdin: bytes | None = None) -> Result:
        return runner.invoke(cli, arguments, input=stdin, catch_exceptions=False)

    return run

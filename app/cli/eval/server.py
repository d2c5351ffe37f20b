"""The server that is asked: the one that was named, the usual one, or one of our own."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from app.cli.console import err
from app.cli.options import DEFAULT_URL
from app.config.settings import Settings
from app.evaluation.http import Patience, Server, ServerGone
from app.evaluation.own_server import free_port, own_server

PATIENCE = Patience()


@dataclass(frozen=True, slots=True)
class Where:
    """Where to run: the server's address (None: the usual one, or one of our own).

    at_once: requests in flight at most.
    """

    settings: Settings
    url: str | None = None
    at_once: int = 32


@asynccontextmanager
async def asked_server(where: Where) -> AsyncIterator[Server]:
    """The server to ask, ready; one of our own where none was named and none answers.

    Raises `ServerGone` where a named one does not answer, and `ConfigurationError` where our own
    does not start.
    """
    url = where.url or DEFAULT_URL
    server = _open(url, where)
    try:
        if await server.answers():
            await server.wait_ready()
            yield server
            return
        if where.url is not None:
            raise ServerGone(f"no server answers at {url}")
    finally:
        await server.close()
    async with _started(where) as server:
        yield server


@asynccontextmanager
async def _started(where: Where) -> AsyncIterator[Server]:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command, environment = own_command(where.settings, port)
    err().print(f"No server answers at {DEFAULT_URL}: starting one on port {port} for this run.")
    async with own_server(command, url, environment):
        server = _open(url, where)
        try:
            yield server
        finally:
            await server.close()


def own_command(settings: Settings, port: int) -> tuple[list[str], dict[str, str]]:
    """The program of our own server, and what its environment has besides ours."""
    command = [sys.executable, "-m", "app.cli.eval.child", "serve", "--host", "127.0.0.1"]
    command += ["--port", str(port)]
    environment = {
        "SPAR_DATA": str(settings.data.absolute()),
        "SPAR_DATABASE_URL": settings.url,
        "SPAR_WORKER": "false",
    }
    return command, environment


def _open(url: str, where: Where) -> Server:
    return Server(url, at_once=where.at_once, key=where.settings.api_key, patience=PATIENCE)

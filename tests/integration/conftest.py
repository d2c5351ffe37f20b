"""One real server for all integration tests."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.integration.server import Server, start_server
from tests.integration.worker import Worker


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave out the module that needs schemathesis where its plugin is not loaded.

    Loading it takes seconds in each process; `make test` does without.
    """
    missing = not config.pluginmanager.has_plugin("schemathesis")
    return True if missing and collection_path.name == "test_schemathesis.py" else None


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on the embedded model, ready to answer."""
    server = start_server(
        tmp_path_factory.mktemp("server"),
        heartbeat_seconds="0.5",
        critique_tokens="16",
        context_tokens="2048",
        kv_cache_gib="1",
        max_running="16",
        max_waiting="16",
        worker="false",
    )
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of the server."""
    with server.client as client:
        yield client


@pytest.fixture
def worker(server: Server, tmp_path: Path) -> Iterator[Worker]:
    """A worker of the server that is not started yet; the server has none of its own."""
    worker = Worker(server, tmp_path / "worker.log")
    yield worker
    worker.stop()

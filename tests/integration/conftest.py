"""One real server for all integration tests."""

from collections.abc import Iterator

import httpx
import pytest

from tests.integration.server import Server, start_server


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on the embedded model, ready to answer."""
    server = start_server(
        tmp_path_factory.mktemp("server"),
        heartbeat_seconds="0.5",
        critique_tokens="16",
        reflection_tokens="12",
        context_tokens="2048",
        kv_cache_gib="1",
        max_running="16",
        max_waiting="16",
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

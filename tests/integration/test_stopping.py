"""A server that is told to stop while somebody follows what it does."""

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.scripted import start_scripted_server
from tests.integration.server import Server, read_events

LONG = "600"
"""Seconds that requests may take to finish: longer than any test waits."""

pytestmark = pytest.mark.timeout(90)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server that lets requests finish, however long they take."""
    server = start_scripted_server(tmp_path, shutdown_seconds=LONG)
    try:
        server.wait_ready()
        yield server
    finally:
        server.process.kill()
        server.process.wait()


def test_who_follows_an_iteration_is_let_go_at_once(server: Server) -> None:
    with server.client as client:
        queued = client.post("/admin/iterations", json={}).json()["id"]
        with client.stream("GET", f"/admin/iterations/{queued}/events") as stream:
            events = read_events(stream.iter_lines())
            assert next(events)[0] == "iteration"
            server.process.send_signal(signal.SIGTERM)
            # Ends as a whole stream does: a connection that is cut off raises.
            assert [name for name, _ in events if name] == []
    assert server.process.wait(60) == 0


def test_a_search_that_is_watched_runs_to_its_end(server: Server) -> None:
    body = {"prompt": "Name a river.", "mode": "bfs", "stream": True}
    with server.client as client, client.stream("POST", "/generate", json=body) as stream:
        events = read_events(stream.iter_lines())
        assert next(events)[0] == "start"
        server.process.send_signal(signal.SIGTERM)
        assert [name for name, _ in events if name][-1] == "final"
    assert server.process.wait(60) == 0

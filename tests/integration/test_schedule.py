"""A worker with a schedule starts iterations by itself."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.integration.scripted import start_scripted_server, start_scripted_worker
from tests.integration.server import Server, wait_until

SECONDS = 100
"""A minute, should the worker miss the first one, and the iteration."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A server without a worker."""
    server = start_scripted_server(tmp_path)
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


@pytest.mark.slow
def test_a_running_worker_starts_an_iteration_at_its_time(server: Server) -> None:
    worker = start_scripted_worker(
        server,
        "tests.integration.scheduled_worker",
        schedule="* * * * *",
        schedule_preset="micro",
    )
    try:
        with server.client as client:
            wait_until(lambda: [one for one in iterations(client) if ended(one)], SECONDS)
            first = iterations(client)[-1]
    finally:
        worker.stop()
    assert (first["preset"], first["promote"], first["kind"]) == ("micro", "gate", "self_play")
    assert first["status"] == "succeeded", first["error"]
    log = worker.log.read_text()
    # It was at work before: nothing waited for it when it began.
    assert log.index("holds the lease") < log.index(f"iteration {first['id']} starts")


def iterations(client: httpx.Client) -> list[dict[str, Any]]:
    """All there are, the newest first."""
    found: list[dict[str, Any]] = client.get("/admin/iterations").json()["iterations"]
    return found


def ended(iteration: dict[str, Any]) -> bool:
    """Whether an iteration is over, well or not."""
    return iteration["status"] in ("succeeded", "failed", "cancelled")

"""Killed engines, stopped servers, occupied ports: real processes, real signals."""

import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from tests.integration.server import SPAR_SERVE, Server, start_server, wait_until

pytestmark = pytest.mark.engine

LONG = {
    "prompt": "Write a long story about rain.",
    "mode": "best_of_n",
    "search": {"n": 4},
    "sampling": {"max_tokens": 1500, "temperature": 1.5},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("faults")


@pytest.fixture
def own_server(folder: Path) -> Iterator[Server]:
    """A server that a test may end as it likes."""
    server = start_server(folder, context_tokens="2048", kv_cache_gib="1")
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


def test_a_killed_engine_fails_its_requests_at_once_and_comes_back(server: Server) -> None:
    before = server.health()["engine_restarts"]
    with ThreadPoolExecutor() as pool, server.client as client:
        running = [pool.submit(client.post, "/generate", json=LONG) for _ in range(3)]
        wait_until(lambda: server.health()["engine_calls"] == 12, 30)
        server.engine_processes()[0].kill()
        answers = [request.result(timeout=60) for request in running]
        assert [answer.status_code for answer in answers] == [503] * 3
        assert {answer.json()["type"] for answer in answers} == {"engine_unavailable"}
        assert all("retry-after" in answer.headers for answer in answers)
        assert not server.is_ready()
        assert server.health()["engine_ready"] is False
        server.wait_ready()
        greedy = {"prompt": "Say hello.", "mode": "greedy", "sampling": {"max_tokens": 8}}
        assert client.post("/generate", json=greedy).status_code == 200
    health = server.health()
    assert health["engine_restarts"] == before + 1
    assert health["requests"] == 0


def test_a_stopped_server_finishes_what_runs_and_loses_nothing(own_server: Server) -> None:
    body = {
        "prompt": "Write a story about rain.",
        "mode": "bfs",
        "search": {"branch": 2, "beam": 1, "depth": 2, "votes": 2, "early_stop": False},
        "sampling": {"max_tokens": 64},
    }
    with ThreadPoolExecutor() as pool, own_server.client as client:
        running = pool.submit(client.post, "/generate", json=body)
        wait_until(lambda: own_server.health()["engine_calls"] > 0, 30)
        own_server.process.send_signal(signal.SIGTERM)
        answer = running.result()
    assert answer.status_code == 200
    assert own_server.process.wait(timeout=60) == 0
    assert answer.json()["id"] in stored_ids(own_server.data / "spar.db")


def test_a_server_stopped_while_it_starts_stops(folder: Path) -> None:
    server = start_server(folder, context_tokens="2048", kv_cache_gib="1")
    wait_until(lambda: server.answers() and server.engine_processes(), 60)
    engine = server.engine_processes()
    assert not server.is_ready()
    assert server.stop() == 0
    _, alive = psutil.wait_procs(engine, timeout=30)
    assert not alive


def test_a_killed_server_leaves_no_engine_behind(own_server: Server) -> None:
    engine = own_server.engine_processes()
    assert engine
    own_server.process.kill()
    own_server.process.wait()
    _, alive = psutil.wait_procs(engine, timeout=30)
    assert not alive


def test_a_taken_port_is_said_in_words(folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = subprocess.run(
            [*SPAR_SERVE, "--data", str(folder / "x"), "--port", str(port)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert refused.returncode == 1
    assert f"{port}" in refused.stderr
    assert "Traceback" not in refused.stderr


def stored_ids(database: Path) -> list[str]:
    """The ids of the stored searches."""
    with sqlite3.connect(database) as connection:
        return [row[0] for row in connection.execute("select id from searches")]

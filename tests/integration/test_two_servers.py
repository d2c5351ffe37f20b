"""Two servers and two workers on one PostgreSQL, one data folder and a tiny random model.

Everything is as two machines would have it: real engines, a real database, real training.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest

from app.domain.iteration import Stage
from app.engine.arguments import usable_cores
from tests.helpers.tiny_model import make_tiny_model
from tests.integration.server import Server, start_server, wait_until
from tests.integration.worker import (
    ITERATION_SECONDS,
    Worker,
    command_of,
    start_iteration,
    wait_for_end,
)

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

FOLLOW_SECONDS = 30
BASE, TRAINED = {"actor": 0, "refiner": 0}, {"actor": 1, "refiner": 0}
ASK = {"prompt": "Name a river.", "mode": "bfs", "sampling": {"max_tokens": 8}}
SHARED = {"context_tokens": "1024", "critique_tokens": "16", "kv_cache_gib": "0.25"}


@pytest.fixture
def shared(tmp_path: Path, postgres_url: str) -> dict[str, str]:
    """The settings of everybody."""
    model = make_tiny_model(tmp_path / "tiny")
    return {"model": str(model), "database_url": postgres_url, **SHARED}


@pytest.fixture
def servers(tmp_path: Path, shared: dict[str, str]) -> Iterator[Sequence[Server]]:
    """Two that are ready, each with a core of its own: threads that share one spin in vain."""
    cores, found = usable_cores(), list[Server]()
    try:
        for number in range(2):
            made = start_server(tmp_path, log_name=f"server-{number}.log", worker="false", **shared)
            found.append(made)
            psutil.Process(made.process.pid).cpu_affinity([cores[number % len(cores)]])
        for made in found:
            made.wait_ready()
        yield found
    finally:
        for made in found:
            made.stop()


@pytest.fixture
def workers(
    tmp_path: Path, servers: Sequence[Server], shared: dict[str, str]
) -> Iterator[Sequence[Worker]]:
    """Two that run, one beside each server."""
    found = [Worker(made, tmp_path / f"worker-{number}.log") for number, made in enumerate(servers)]
    try:
        for worker in found:
            worker.start(**shared)
        yield found
    finally:
        for worker in found:
            worker.stop()


def test_an_iteration_runs_once_and_both_servers_follow_what_it_promotes(
    servers: Sequence[Server], workers: Sequence[Worker]
) -> None:
    with servers[0].client as one, servers[1].client as other:
        clients = (one, other)
        assert [answered(client) for client in clients] == [BASE, BASE]
        started = start_iteration(one, promote="always", overrides={"roles": ["actor"]})
        holder = who_trains(workers)
        holder.kill()
        found = wait_for_end(other, started)

        assert [stage["status"] for stage in found["stages"]] == ["succeeded"] * len(Stage)
        versions = [(made["role"], made["version"]) for made in found["checkpoints"]]
        assert versions == [("actor", 1)]
        promotions = other.get("/admin/promotions").json()["promotions"]
        assert [made["iteration"] for made in promotions].count(started) == 1
        for client in clients:
            wait_until(lambda client=client: answered(client) == TRAINED, FOLLOW_SECONDS)

        # Whoever is told, all follow.
        assert other.post("/admin/checkpoints/actor/rollback").status_code == 200
        for client in clients:
            wait_until(lambda client=client: answered(client) == BASE, FOLLOW_SECONDS)


def answered(client: Any) -> dict[str, int]:
    """The versions that a search is answered by."""
    answer = client.post("/generate", json=ASK)
    assert answer.status_code == 200, answer.text
    versions: dict[str, int] = answer.json()["checkpoint"]
    return versions


def who_trains(workers: Sequence[Worker]) -> Worker:
    """The worker whose trainer runs, when one does."""
    wait_until(lambda: any(map(trains, workers)), ITERATION_SECONDS)
    return next(filter(trains, workers))


def trains(worker: Worker) -> bool:
    """Whether a trainer is among its processes."""
    assert worker.process is not None
    family = psutil.Process(worker.process.pid).children(recursive=True)
    return any("training" in command_of(process) for process in family)

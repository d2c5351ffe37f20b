"""A whole iteration on the real model with real training, killed wherever it can be."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from app.domain.iteration import Stage
from tests.integration.server import Server, start_server, wait_until
from tests.integration.worker import (
    ITERATION_SECONDS,
    Worker,
    iteration,
    start_iteration,
    wait_for_end,
)

ONE_PROCESS = """\
compute_environment: LOCAL_MACHINE
distributed_type: "NO"
mixed_precision: "no"
num_machines: 1
num_processes: 1
use_cpu: true
"""
PAIRS = [
    {"instruction": "Name a river.", "output_1": "The Nile.", "output_2": "Bread.", "label": 1},
    {"instruction": "Say hello.", "output_1": "It rains.", "output_2": "Hello!", "label": 2},
]

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]


def test_an_iteration_that_is_killed_at_every_stage_trains_and_promotes_once(
    client: httpx.Client, worker: Worker
) -> None:
    before = client.get("/admin/serving").json()["promoted"]
    newest = {role: newest_version(client, role) for role in ("actor", "refiner")}
    started = start_iteration(client, promote="always")
    for stage in Stage:
        worker.start()
        wait_until(lambda stage=stage: has_begun(client, started, stage), ITERATION_SECONDS)
        worker.kill()
    worker.start()

    found = wait_for_end(client, started)
    assert [stage["status"] for stage in found["stages"]] == ["succeeded"] * len(Stage)
    trained = {one["role"]: one["version"] for one in found["checkpoints"]}
    assert set(trained) == {"actor", "refiner"}
    assert trained == {role: version + 1 for role, version in newest.items()}
    assert worker.trainers() == []
    # The server takes over what the iteration promoted, and says so in its answers.
    wait_until(lambda: served(client) == trained, 30)
    answer = client.post(
        "/generate", json={"prompt": "Name a river.", "mode": "bfs", "sampling": {"max_tokens": 8}}
    ).json()
    assert answer["checkpoint"] == trained
    assert client.post("/admin/checkpoints/actor/rollback").status_code == 200
    wait_until(lambda: served(client) == trained | {"actor": before["actor"]}, 30)


def test_a_cancelled_iteration_goes_on_where_it_was(
    client: httpx.Client, worker: Worker, tmp_path: Path
) -> None:
    (tmp_path / "accelerate.yaml").write_text(ONE_PROCESS)
    (tmp_path / "pairs.jsonl").write_text("\n".join(map(json.dumps, PAIRS)))
    before = client.get("/admin/serving").json()["promoted"]
    started = start_iteration(client, promote="never")
    worker.start(
        accelerate_config=str(tmp_path / "accelerate.yaml"),
        labelled_pairs=str(tmp_path / "pairs.jsonl"),
    )
    for stage in (Stage.RESPOND, Stage.TRAIN, Stage.EVALUATE):
        wait_until(lambda stage=stage: has_begun(client, started, stage), ITERATION_SECONDS)
        assert client.post(f"/admin/iterations/{started}/cancel").status_code in (200, 202)
        wait_until(lambda: iteration(client, started)["status"] == "cancelled", 60)
        assert worker.trainers() == []
        assert client.post(f"/admin/iterations/{started}/resume").status_code in (200, 202)

    found = wait_for_end(client, started)
    assert [stage["status"] for stage in found["stages"]] == ["succeeded"] * len(Stage)
    trained = {one["role"]: one["version"] for one in found["checkpoints"]}
    assert set(trained) == {"actor", "refiner"}
    assert client.get("/admin/serving").json()["promoted"] == before
    others = found["report"]["reports"]["refiner"]["others"]
    measured = {one["name"]: one["n"] for one in others}
    assert measured["labelled pairs"] == len(PAIRS)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """A server with a worker of its own, which a test may kill."""
    server = start(tmp_path)
    yield server
    server.stop()


def start(folder: Path) -> Server:
    server = start_server(
        folder,
        context_tokens="2048",
        kv_cache_gib="1",
        critique_tokens="16",
        lease_seconds="1",
    )
    server.wait_ready()
    return server


def test_an_iteration_outlives_its_server(own_server: Server, tmp_path: Path) -> None:
    with own_server.client as client:
        started = start_iteration(client, promote="never")
        wait_until(lambda: has_begun(client, started, Stage.JUDGE), ITERATION_SECONDS)
    family = psutil.Process(own_server.process.pid).children(recursive=True)
    own_server.process.kill()
    own_server.process.wait()
    _, alive = psutil.wait_procs(family, timeout=30)
    assert not alive
    server = start(tmp_path)
    try:
        with server.client as client:
            found = wait_for_end(client, started)
            assert {one["status"] for one in found["checkpoints"]} == {"rejected"}
            assert client.get("/admin/serving").json()["promoted"] == {"actor": 0, "refiner": 0}
    finally:
        server.stop()


def newest_version(client: httpx.Client, role: str) -> int:
    """The highest version there is of a role, promoted or not."""
    found = client.get("/admin/checkpoints").json()["checkpoints"]
    newest: int = max(one["version"] for one in found if one["role"] == role)
    return newest


def has_begun(client: httpx.Client, iteration_id: str, stage: Stage) -> bool:
    """Whether a stage runs, or has run."""
    stages = iteration(client, iteration_id)["stages"]
    return any(one["name"] == stage and one["status"] != "queued" for one in stages)


def served(client: httpx.Client) -> dict[str, int]:
    """What the one server serves."""
    (server,) = client.get("/admin/serving").json()["servers"]
    return {role: server[role] for role in ("actor", "refiner")}

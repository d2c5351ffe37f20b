"""A whole iteration on the real model with real training, killed wherever it can be."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.domain.iteration import Stage
from tests.integration.server import Server, wait_until
from tests.integration.worker import Worker, iteration

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

STAGE_SECONDS = 240
TOPICS = ("rivers", "bread", "the moon", "bicycles", "winter", "tea", "old maps", "bees")


@pytest.fixture
def worker(server: Server, tmp_path: Path) -> Iterator[Worker]:
    """A worker that is not started yet."""
    worker = Worker(server, tmp_path / "worker.log")
    yield worker
    worker.stop()


def start_iteration(client: httpx.Client, **body: Any) -> str:
    """Queue a small iteration on prompts without constraints: the votes alone decide there.

    So some responses are accepted and some are not, and there is something to train on.
    """
    prompts = [{"prompt": f"Tell me something about {topic}."} for topic in TOPICS]
    assert client.post("/admin/prompts", json={"prompts": prompts}).status_code == 200
    answer = client.post("/admin/iterations", json={"preset": "micro", **body})
    assert answer.status_code == 202, answer.text
    identifier: str = answer.json()["id"]
    return identifier


def test_an_iteration_that_is_killed_at_every_stage_trains_and_promotes_once(
    client: httpx.Client, worker: Worker
) -> None:
    before = client.get("/admin/serving").json()["promoted"]
    started = start_iteration(client, promote="always")
    for stage in Stage:
        worker.start()
        wait_until(lambda stage=stage: has_begun(client, started, stage), STAGE_SECONDS)
        worker.kill()
    worker.start()
    wait_until(lambda: iteration(client, started)["status"] != "running", STAGE_SECONDS)

    found = iteration(client, started)
    assert found["status"] == "succeeded", found["error"]
    assert [stage["status"] for stage in found["stages"]] == ["succeeded"] * len(Stage)
    trained = {one["role"]: one["version"] for one in found["checkpoints"]}
    assert set(trained) == {"actor", "refiner"}
    assert all(trained[role] == before[role] + 1 for role in trained)
    assert worker.trainers() == []
    # The server takes over what the iteration promoted, and says so in its answers.
    wait_until(lambda: served(client) == trained, 30)
    answer = client.post(
        "/generate", json={"prompt": "Name a river.", "mode": "bfs", "sampling": {"max_tokens": 8}}
    ).json()
    assert answer["checkpoint"] == trained
    rolled_back = client.post("/admin/checkpoints/actor/rollback")
    assert rolled_back.status_code == 200, rolled_back.text
    wait_until(lambda: served(client) == trained | {"actor": before["actor"]}, 30)


def has_begun(client: httpx.Client, iteration_id: str, stage: Stage) -> bool:
    """Whether a stage runs, or has run."""
    stages = iteration(client, iteration_id)["stages"]
    return any(one["name"] == stage and one["status"] != "queued" for one in stages)


def served(client: httpx.Client) -> dict[str, int]:
    """What the one server serves."""
    (server,) = client.get("/admin/serving").json()["servers"]
    return {role: server[role] for role in ("actor", "refiner")}

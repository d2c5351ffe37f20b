"""What the product does, once, on one real engine with a worker that really trains.

`make test` runs this module; the other tests on real engines are `make test-all`'s.
"""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.server import Server, read_events, start_server, wait_until
from tests.integration.worker import start_iteration, wait_for_end

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]

PROMPT = "Name a river in Europe."
SHORT = {"max_tokens": 12}
BASE = {"actor": 0, "refiner": 0}
ONE_STEP = {
    "roles": ["actor"],
    "data": {"max_tokens": 16},
    "actor": {"max_steps": 1},
    "evaluation": {"prompts": 2, "judged": 0, "max_tokens": 16},
}
"""The preset `micro` with less of everything but prompts: some responses have to be rejected."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server on the embedded model, with a worker of its own."""
    server = start_server(
        tmp_path_factory.mktemp("smoke"),
        context_tokens="2048",
        kv_cache_gib="1",
        critique_tokens="16",
        lease_seconds="1",
    )
    try:
        server.wait_ready()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    with server.client as client:
        yield client


def post(client: httpx.Client, path: str, **body: Any) -> dict[str, Any]:
    response = client.post(path, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


@pytest.mark.parametrize(
    ("mode", "nodes"),
    [("greedy", 1), ("best_of_n", 2), ("iterative", 2), ("bfs", 4), ("dfs", 6)],
)
def test_every_mode_searches_its_whole_tree(client: httpx.Client, mode: str, nodes: int) -> None:
    shape = {"n": 2, "branch": 2, "beam": 1, "depth": 2, "votes": 1, "early_stop": False}
    search = {} if mode == "greedy" else {"search": shape}
    answer = post(
        client, "/generate", prompt=PROMPT, mode=mode, sampling=SHORT, include_tree=True, **search
    )
    assert answer["response"].strip()
    assert answer["checkpoint"] == BASE
    root, *others = answer["tree"]
    assert (root["kind"], root["text"]) == ("prompt", PROMPT)
    assert len(others) == nodes == answer["usage"]["nodes"]
    assert all(0 < vote["probability"] < 1 for node in others for vote in node["votes"])
    if mode == "greedy":
        assert (answer["accepted"], answer["usage"]["votes"]) == (None, 0)
    else:
        best = max(others, key=lambda node: (node["accepted"], node["value"], -node["id"]))
        assert (answer["response"], answer["value"]) == (best["text"], best["value"])
    assert client.get(f"/searches/{answer['id']}").json()["tree"] == answer["tree"]


def test_a_program_decides_about_constraints(client: httpx.Client) -> None:
    words = {
        "id": "length_constraints:number_words",
        "kwargs": {"relation": "less than", "num_words": 3},
    }
    answer = post(
        client, "/generate", prompt=PROMPT, mode="greedy", sampling=SHORT, constraints=[words]
    )
    [result] = answer["constraints"]
    assert (result["satisfied"], answer["accepted"]) == (False, False)
    assert "fewer than 3" in result["message"]
    assert result["message"] in answer["critique"]


def test_a_judgment_shows_every_vote(client: httpx.Client) -> None:
    answer = post(client, "/judge", prompt=PROMPT, response="The Danube.")
    assert len(answer["votes"]) == 5
    assert answer["value"] == sum(vote["verdict"] for vote in answer["votes"]) / 5
    assert any(vote["critique"] for vote in answer["votes"])


def test_a_chat_completion_streams_what_it_answers(client: httpx.Client) -> None:
    body = {
        "model": "actor",
        "messages": [{"role": "user", "content": "What is the capital of France?"}],
        "max_tokens": 12,
        "temperature": 0,
    }
    whole = post(client, "/v1/chat/completions", **body)["choices"][0]["message"]["content"]
    assert "Paris" in whole
    with client.stream("POST", "/v1/chat/completions", json=body | {"stream": True}) as response:
        lines = [line.removeprefix("data: ") for line in response.iter_lines() if line]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    pieces = [choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"]]
    assert len(pieces) > 5
    assert "".join(piece or "" for piece in pieces) == whole


def test_a_stream_tells_what_the_search_does(client: httpx.Client) -> None:
    shape = {"branch": 2, "beam": 1, "depth": 1, "votes": 1, "early_stop": False}
    body = {"prompt": PROMPT, "mode": "bfs", "search": shape, "sampling": SHORT, "stream": True}
    with client.stream("POST", "/generate", json=body) as response:
        names = [name for name, _ in read_events(response.iter_lines()) if name]
    assert (names[0], names[-1]) == ("start", "final")
    assert names.count("node") == names.count("judged") == 2


def test_an_iteration_trains_an_actor_that_takes_over_and_can_be_rolled_back(
    client: httpx.Client,
) -> None:
    started = start_iteration(client, promote="always", overrides=ONE_STEP)
    found = wait_for_end(client, started)
    assert {stage["status"] for stage in found["stages"]} == {"succeeded"}
    [trained] = found["checkpoints"]
    assert trained["role"] == "actor"
    assert trained["status"] == "promoted"
    promoted = {"actor": trained["version"], "refiner": 0}
    wait_until(lambda: served(client) == promoted, 30)

    def ask() -> dict[str, Any]:
        return post(client, "/generate", prompt=PROMPT, mode="greedy", sampling=SHORT)

    assert ask()["checkpoint"] == promoted
    assert client.post("/admin/checkpoints/actor/rollback").status_code == 200
    wait_until(lambda: served(client) == BASE, 30)
    assert ask()["checkpoint"] == BASE


def served(client: httpx.Client) -> dict[str, int]:
    """What the one server serves."""
    (server,) = client.get("/admin/serving").json()["servers"]
    return {role: server[role] for role in BASE}

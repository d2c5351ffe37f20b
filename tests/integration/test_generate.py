"""`POST /generate` on the real engine: every mode, limits, constraints, streams, the record."""

import asyncio
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.integration.server import Server, read_events, wait_until

pytestmark = pytest.mark.engine

PROMPT = "Write two short sentences about rain."
SHORT = {"max_tokens": 24}


def generate(client: httpx.Client, **body: Any) -> dict[str, Any]:
    response = client.post("/generate", json={"prompt": PROMPT, "sampling": SHORT} | body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_greedy_answers_unjudged(client: httpx.Client) -> None:
    answer = generate(client, mode="greedy")
    assert answer["response"].strip()
    assert answer["accepted"] is None
    assert answer["value"] is None
    assert answer["usage"]["votes"] == 0
    assert answer["checkpoint"] == {"actor": 0, "refiner": 0}
    assert 0 < answer["usage"]["completion_tokens"] <= 24


def test_greedy_with_constraints_is_judged(client: httpx.Client) -> None:
    words = {
        "id": "length_constraints:number_words",
        "kwargs": {"relation": "less than", "num_words": 3},
    }
    answer = generate(client, mode="greedy", constraints=[words])
    [result] = answer["constraints"]
    assert not result["satisfied"]
    assert "fewer than 3" in result["message"]
    assert answer["accepted"] is False
    assert result["message"] in answer["critique"]


@pytest.mark.parametrize(
    ("mode", "nodes", "depth"),
    [("best_of_n", 2, 1), ("iterative", 2, 2), ("bfs", 4, 2), ("dfs", 6, 2)],
)
def test_a_whole_tree_is_searched_when_nothing_stops_it(
    client: httpx.Client, mode: str, nodes: int, depth: int
) -> None:
    shape = {"n": 2, "branch": 2, "beam": 1, "depth": 2, "votes": 2, "early_stop": False}
    answer = generate(client, mode=mode, search=shape, include_tree=True)
    root, *others = answer["tree"]
    assert root["kind"] == "prompt"
    assert root["text"] == PROMPT
    assert len(others) == nodes == answer["usage"]["nodes"]
    assert max(node["depth"] for node in others) == depth
    assert Counter(node["kind"] for node in others)["response"] == answer["usage"]["responses"]
    assert all(len(node["votes"]) == 2 for node in others)
    assert all(0 < vote["probability"] < 1 for node in others for vote in node["votes"])
    best = max(others, key=lambda node: (node["accepted"], node["value"], -node["id"]))
    assert answer["response"] == best["text"]
    assert answer["value"] == best["value"]


def test_accepted_ends_a_refining_search(client: httpx.Client) -> None:
    """With a threshold of 0 a single yes accepts: the first level hardly ever passes unaccepted."""
    answer = generate(
        client, mode="bfs", search={"accept_threshold": 0, "votes": 5}, include_tree=True
    )
    assert answer["stop_reason"] == "accepted"
    assert answer["accepted"] is True
    assert answer["usage"]["nodes"] < 15


def test_same_seed_same_engine_state_same_tree(client: httpx.Client) -> None:
    """One call at a time on a warm prefix cache: the engine computes the same numbers.

    Calls that run together share batches whose make-up depends on timing, and in bfloat16 that
    moves the last digits (docs/performance.md).
    """
    body = {
        "mode": "iterative",
        "search": {"depth": 3, "votes": 1, "early_stop": False},
        "include_tree": True,
    }

    def texts(seed: int) -> list[Any]:
        sampling = {"max_tokens": 16, "seed": seed}
        tree = generate(client, **body, sampling=sampling)["tree"]
        return [{**node, "created_ms": None} for node in tree]

    for _ in range(4):  # a level is warm only when those above it have stopped changing
        texts(7)
    first, second = texts(7), texts(7)
    assert first == second
    assert texts(8) != first


def test_max_tokens_of_the_budget_is_kept(client: httpx.Client) -> None:
    answer = generate(client, mode="greedy", budget={"max_tokens": 5})
    assert answer["usage"]["completion_tokens"] == 5
    endless = {"early_stop": False}
    answer = generate(client, mode="bfs", search=endless, budget={"max_tokens": 200})
    assert answer["stop_reason"] == "max_tokens"
    running_at_once = 3 * 5
    assert 200 <= answer["usage"]["completion_tokens"] <= 200 + running_at_once


def test_max_nodes_is_kept(client: httpx.Client) -> None:
    shape = {"votes": 1, "early_stop": False}
    answer = generate(client, mode="bfs", search=shape, budget={"max_nodes": 4})
    assert answer["stop_reason"] == "max_nodes"
    assert answer["usage"]["nodes"] == 4


def test_a_deadline_gives_the_best_so_far_and_frees_the_engine(
    client: httpx.Client, server: Server
) -> None:
    long = {"max_tokens": 1500, "temperature": 1.5}
    answer = generate(client, mode="best_of_n", sampling=long, budget={"deadline_ms": 1500})
    assert answer["stop_reason"] == "deadline"
    assert answer["response"]
    assert answer["usage"]["completion_tokens"] > 0
    assert server.health()["engine_calls"] == 0


def test_a_deadline_shorter_than_anything_is_no_error(client: httpx.Client) -> None:
    answer = generate(client, mode="bfs", budget={"deadline_ms": 1})
    assert answer["stop_reason"] == "deadline"
    assert answer["accepted"] is None


def test_messages_and_stop_strings(client: httpx.Client) -> None:
    messages = [
        {"role": "system", "content": "You count."},
        {"role": "user", "content": "Count from 1 to 9, like 1, 2, 3."},
    ]
    body = {"messages": messages, "mode": "greedy", "sampling": {"max_tokens": 60, "stop": ["5"]}}
    response = client.post("/generate", json=body)
    assert response.status_code == 200
    assert "5" not in response.json()["response"]


def test_a_search_is_stored_with_its_tree(client: httpx.Client) -> None:
    shape = {"branch": 2, "beam": 1, "depth": 2, "votes": 1}
    answer = generate(client, mode="bfs", search=shape, include_tree=True)
    stored = client.get(f"/searches/{answer['id']}").json()
    for field in ("response", "accepted", "value", "stop_reason", "usage", "checkpoint", "tree"):
        assert stored[field] == answer[field], field
    first = client.get("/searches", params={"limit": 1}).json()
    assert first["searches"][0]["id"] == answer["id"]
    second = client.get("/searches", params={"limit": 1, "cursor": first["next_cursor"]}).json()
    assert second["searches"][0]["id"] < answer["id"]


def test_a_stream_tells_what_the_search_does(client: httpx.Client) -> None:
    shape = {"branch": 2, "beam": 1, "depth": 2, "votes": 2, "early_stop": False}
    body = {"prompt": PROMPT, "mode": "bfs", "search": shape, "sampling": SHORT, "stream": True}
    with client.stream("POST", "/generate", json=body) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        events = list(read_events(response.iter_lines()))
    names = [name for name, _ in events if name]
    assert names[0] == "start"
    assert names[-1] == "final"
    assert Counter(names)["node"] == Counter(names)["judged"] == 4
    created = {
        data["id"]: position for position, (name, data) in enumerate(events) if name == "node"
    }
    judged = {
        data["id"]: position for position, (name, data) in enumerate(events) if name == "judged"
    }
    assert all(created[node] < judged[node] for node in created)
    assert [name for name, _ in events].count("") >= 1, "no heartbeat in a search of seconds"


def test_a_greedy_stream_gives_the_text_as_it_comes(client: httpx.Client) -> None:
    body = {"prompt": PROMPT, "mode": "greedy", "sampling": SHORT, "stream": True}
    with client.stream("POST", "/generate", json=body) as response:
        events = list(read_events(response.iter_lines()))
    pieces = [data["text"] for name, data in events if name == "delta"]
    assert len(pieces) > 5
    assert "".join(pieces) == events[-1][1]["response"]


ENDLESS = {
    "prompt": PROMPT,
    "mode": "best_of_n",
    "sampling": {"max_tokens": 1500, "temperature": 1.5},
}


def test_a_client_that_leaves_frees_the_engine(server: Server) -> None:
    with ThreadPoolExecutor() as pool, server.client as leaving:
        left = pool.submit(leaving.post, "/generate", json=ENDLESS, timeout=5)
        wait_until(lambda: server.health()["engine_calls"] >= 4, 30)
        with pytest.raises(httpx.ReadTimeout):
            left.result()
    wait_until(lambda: server.health()["engine_calls"] == 0, 10)
    assert server.health()["requests"] == 0


def test_a_listener_that_leaves_frees_the_engine(server: Server) -> None:
    with server.client as leaving:
        body = ENDLESS | {"stream": True}
        with leaving.stream("POST", "/generate", json=body) as response:
            events = read_events(response.iter_lines())
            assert next(events)[0] == "start"
            wait_until(lambda: server.health()["engine_calls"] >= 4, 30)
    wait_until(lambda: server.health()["engine_calls"] == 0, 10)
    assert server.health()["requests"] == 0


def test_long_seeded_prompts_under_load_leave_the_engine_alive(server: Server) -> None:
    """A seeded prompt prefilled in pieces would kill the CPU engine."""
    long = "Summarize this. " + "The rain in the hills fills the river again. " * 120
    before = server.health()["engine_restarts"]

    async def one(client: httpx.AsyncClient, seed: int) -> int:
        body = {
            "prompt": f"{seed}. {long}",
            "mode": "greedy",
            "sampling": {"max_tokens": 8, "seed": seed, "temperature": 0.8},
        }
        return (await client.post("/generate", json=body)).status_code

    async def load() -> list[int]:
        async with httpx.AsyncClient(base_url=server.url, timeout=240) as client:
            return await asyncio.gather(*(one(client, seed) for seed in range(24)))

    assert set(asyncio.run(load())) == {200}
    assert server.health()["engine_restarts"] == before

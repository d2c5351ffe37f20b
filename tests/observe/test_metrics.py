"""`/metrics` after requests to the whole server."""

import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from prometheus_client.parser import text_string_to_metric_families

from app.db.iterations import IterationRepository, NewIteration
from app.db.session import Database
from app.domain.iteration import IterationOptions
from app.observe.metrics import StoredFigures

SMALL = {"branch": 2, "beam": 1, "depth": 1, "votes": 1, "n": 3}
Sample = tuple[str, frozenset[tuple[str, str]]]


def sample(name: str, **labels: str) -> Sample:
    """The key of one sample."""
    return name, frozenset(labels.items())


async def scraped(client: httpx.AsyncClient) -> dict[Sample, float]:
    """Every sample, as Prometheus reads them."""
    response = await client.get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        sample(found.name, **found.labels): found.value
        for family in text_string_to_metric_families(response.text)
        for found in family.samples
    }


async def ask(client: httpx.AsyncClient, mode: str = "best_of_n") -> httpx.Response:
    """One search."""
    body = {"prompt": "Name a river.", "mode": mode, "search": SMALL}
    return await client.post("/generate", json=body)


async def test_a_search_is_counted_with_what_it_spent(client: httpx.AsyncClient) -> None:
    answer = (await ask(client)).json()
    found = await scraped(client)
    assert "usage" in answer, answer
    usage = answer["usage"]
    reason = answer["stop_reason"]
    assert found[sample("spar_searches_total", mode="best_of_n", stop_reason=reason)] == 1
    assert found[sample("spar_nodes_total", kind="response")] == usage["responses"] == 3
    assert found[sample("spar_votes_total")] == usage["votes"]
    assert found[sample("spar_judgments_total")] == usage["judgments"]
    for kind in ("prompt", "completion"):
        tokens = found[sample("spar_tokens_total", source="search", kind=kind)]
        assert tokens == usage[f"{kind}_tokens"] > 0
    assert found[sample("spar_search_duration_seconds_count", mode="best_of_n")] == 1
    assert found[sample("spar_searches_running")] == 0
    assert sample("spar_searches_accepted_total", mode="best_of_n") not in found


async def test_plain_chat_is_counted_apart_from_the_worker_s(client: httpx.AsyncClient) -> None:
    message = {"role": "user", "content": "one two three"}
    for priority in (0, 0, 10):
        body = {"model": "actor", "messages": [message], "priority": priority}
        assert (await client.post("/v1/chat/completions", json=body)).status_code == 200
    found = await scraped(client)
    assert found[sample("spar_tokens_total", source="chat", kind="prompt")] == 6
    assert found[sample("spar_tokens_total", source="background", kind="prompt")] == 3
    for lane, count in (("foreground", 2), ("background", 1)):
        counted = sample(
            "spar_http_requests_total",
            method="POST",
            route="/v1/chat/completions",
            status="200",
            lane=lane,
        )
        assert found[counted] == count


async def test_a_judgment_is_counted(client: httpx.AsyncClient) -> None:
    body = {"prompt": "Name a river.", "response": "Rhine", "search": {"votes": 1}}
    usage = (await client.post("/judge", json=body)).json()["usage"]
    found = await scraped(client)
    assert found[sample("spar_judgments_total")] == 1
    assert found[sample("spar_votes_total")] == usage["votes"] == 1


async def test_unknown_paths_and_methods_create_no_series(client: httpx.AsyncClient) -> None:
    for number in range(3):
        await client.get(f"/searches/{number}")
        await client.get(f"/nothing/{number}")
        await client.request(f"METHOD{number}", "/healthz")
    found = await scraped(client)
    routes = {dict(labels)["route"] for name, labels in found if name == "spar_http_requests_total"}
    methods = {
        dict(labels)["method"] for name, labels in found if name == "spar_http_requests_total"
    }
    assert routes == {"/searches/{search_id}", "other", "/healthz"}
    assert methods == {"GET", "other"}


async def test_a_failed_search_is_counted_as_failed(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    from app.errors import EngineError

    async def fail(*_: object) -> None:
        raise EngineError("broken")

    monkeypatch.setattr(app.state.services.engine, "complete", fail)
    assert (await ask(client, "greedy")).status_code >= 500
    found = await scraped(client)
    assert found[sample("spar_searches_total", mode="greedy", stop_reason="failed")] == 1
    assert found[sample("spar_searches_running")] == 0


async def test_the_state_of_the_server_is_exported(client: httpx.AsyncClient, app: FastAPI) -> None:
    services = app.state.services
    services.engine.ready, services.engine.restarts = False, 3
    slot = services.admission.enter()
    found = await scraped(client)
    slot.release()
    assert found[sample("spar_ready")] == found[sample("spar_engine_ready")] == 0
    assert found[sample("spar_engine_restarts_total")] == 3
    assert found[sample("spar_queue_requests", state="waiting")] == 1
    assert found[sample("spar_checkpoint_version", role="actor")] == 0
    assert found[sample("spar_database_up")] == 1


async def test_running_requests_are_not_waiting(client: httpx.AsyncClient, app: FastAPI) -> None:
    slot = app.state.services.admission.enter()
    await slot.pass_barrier()
    async with slot.turn():
        found = await scraped(client)
    slot.release()
    assert found[sample("spar_queue_requests", state="running")] == 1
    assert found[sample("spar_queue_requests", state="waiting")] == 0


async def test_iterations_are_counted_from_the_database(
    client: httpx.AsyncClient, app: FastAPI
) -> None:
    async with app.state.services.database.session() as session:
        await IterationRepository(session).add(NewIteration("tiny", IterationOptions()))
    found = await scraped(client)
    assert found[sample("spar_iterations", kind="self_play", status="queued")] == 1
    assert found[sample("spar_iterations", kind="self_play", status="failed")] == 0
    assert found[sample("spar_iteration_stages", stage="train", status="queued")] == 1


async def test_database_counts_are_cached(app: FastAPI) -> None:
    database = app.state.services.database
    lazy, eager = StoredFigures(database, fresh_seconds=3600), StoredFigures(database, 0)
    assert (counts := await lazy.get()) is not None
    assert counts.iterations == {}
    async with database.session() as session:
        await IterationRepository(session).add(NewIteration("tiny", IterationOptions()))
    assert await lazy.get() == counts
    newer = await eager.get()
    assert newer is not None
    assert list(newer.iterations.values()) == [1]


async def test_an_unavailable_database_leaves_the_other_metrics(
    client: httpx.AsyncClient, app: FastAPI, tmp_path: Path
) -> None:
    app.state.services.stored = StoredFigures(Database(f"sqlite+aiosqlite:///{tmp_path}/no/x.db"))
    found = await scraped(client)
    assert found[sample("spar_database_up")] == 0
    assert found[sample("spar_ready")] == 1


async def test_names_follow_the_conventions(client: httpx.AsyncClient) -> None:
    text = (await client.get("/metrics")).text
    typed = re.findall(r"^# TYPE (\S+) (\w+)$", text, re.MULTILINE)
    assert len(typed) == len(set(typed)), "a name is given once"
    for name, kind in typed:
        assert name.startswith(("spar_", "process_"))
        assert name.endswith("_total") == (kind == "counter"), name
        assert not re.search(r"_(ms|millis|percent)(_|$)", name), "base units only"

"""A request is pinned once: every call it makes, and what it says of itself, agree."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.api import generate, openai, system
from app.api.deps import Services
from app.api.problems import add_handlers
from app.checkpoints.registry import Registry
from app.config.settings import Settings
from app.constraints.checker import Checker
from app.db.recorder import Recorder
from app.db.session import Database
from app.domain.checkpoint import Role, Versions
from app.domain.search import Mode
from app.serving.admission import Admission, Background
from tests.helpers.checkpoint_files import make_base
from tests.helpers.scripts import Play
from tests.helpers.searching import roles
from tests.helpers.swapping import LoadingEngine, World, until

SMALL = {"branch": 1, "beam": 1, "depth": 2, "votes": 1, "n": 2}
MESSAGES = [{"role": "user", "content": "Name a river."}]


class DrainBarrier:
    """Lets the first response through when a test says so."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.opened.set()

    async def respond(self, number: int) -> str:
        await self.opened.wait()
        return f"response {number}"


@pytest.fixture
def gate() -> DrainBarrier:
    return DrainBarrier()


@pytest.fixture
def engine(gate: DrainBarrier) -> LoadingEngine:
    return LoadingEngine(Play(respond=gate.respond))


@pytest.fixture
async def world(database: Database, tmp_path: Path) -> World:
    """Version 1 of each role, and version 2 of the actor, which is broken."""
    made = World(database, tmp_path / "data", make_base(tmp_path / "base"))
    await made.add(Role.ACTOR, 1)
    await made.add(Role.REFINER, 1)
    await made.add(Role.ACTOR, 2)
    made.damage(Role.ACTOR, 2)
    return made


@pytest.fixture
async def registry(world: World, engine: LoadingEngine) -> Registry:
    return await world.registry(engine)


@pytest.fixture
async def client(
    world: World, engine: LoadingEngine, registry: Registry, recorder: Recorder
) -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    add_handlers(app)
    for routes in (generate, openai, system):
        app.include_router(routes.router)
    admission = Admission(8, 8)
    app.state.services = Services(
        settings=Settings(_env_file=None),
        engine=engine,
        checker=Checker(1, 1),
        roles=roles(engine),
        database=world.database,
        recorder=recorder,
        admission=admission,
        background=Background(admission, idle=4, busy=4),
        registry=registry,
        started_at=0,
    )
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def asked(engine: LoadingEngine) -> set[str]:
    """The names of all models that were called."""
    return {call.model for call in engine.started}


async def post(client: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    response = await client.post(path, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


async def chat(client: httpx.AsyncClient, model: str, **body: Any) -> dict[str, Any]:
    return await post(client, "/v1/chat/completions", model=model, messages=MESSAGES, **body)


@pytest.mark.parametrize(
    "path", ["/generate", "/judge", "/v1/chat/completions", "/readyz", "/v1/models"]
)
async def test_until_the_checkpoints_are_loaded_nothing_is_answered(
    client: httpx.AsyncClient, registry: Registry, path: str
) -> None:
    bodies: dict[str, dict[str, Any]] = {
        "/generate": {"prompt": "Name a river."},
        "/judge": {"prompt": "Name a river.", "response": "Nile"},
        "/v1/chat/completions": {"model": "actor", "messages": MESSAGES},
    }

    async def status() -> int:
        if path in bodies:
            return (await client.post(path, json=bodies[path])).status_code
        return (await client.get(path)).status_code

    # The names of models are known before.
    assert await status() == (200 if path == "/v1/models" else 503)
    registry.activate(Versions())
    assert await status() == 200


@pytest.mark.parametrize("mode", list(Mode))
async def test_a_search_ends_on_the_versions_it_began_with(
    client: httpx.AsyncClient,
    registry: Registry,
    engine: LoadingEngine,
    gate: DrainBarrier,
    mode: Mode,
) -> None:
    registry.activate(Versions(0, 0))
    gate.opened.clear()
    body = {"prompt": "Name a river.", "mode": mode, "search": SMALL}
    asking = asyncio.create_task(post(client, "/generate", **body))
    await until(lambda: engine.started)
    registry.activate(Versions(1, 1))
    gate.opened.set()
    answer = await asking
    assert answer["checkpoint"] == {"actor": 0, "refiner": 0}
    assert asked(engine) <= {"actor@0", "refiner@0"}
    engine.started.clear()
    assert (await post(client, "/generate", **body))["checkpoint"] == {"actor": 1, "refiner": 1}
    assert asked(engine) <= {"actor@1", "refiner@1"}


@pytest.mark.parametrize("model", ["actor", "actor:bfs"])
async def test_a_chat_completion_says_which_versions_it_began_with(
    client: httpx.AsyncClient,
    registry: Registry,
    engine: LoadingEngine,
    gate: DrainBarrier,
    model: str,
) -> None:
    registry.activate(Versions(0, 0))
    gate.opened.clear()
    asking = asyncio.create_task(chat(client, model))
    await until(lambda: engine.started)
    registry.activate(Versions(1, 1))
    gate.opened.set()
    assert (await asking)["system_fingerprint"] == "actor@0+refiner@0"
    assert asked(engine) <= {"actor@0", "refiner@0"}
    assert (await chat(client, model))["system_fingerprint"] == "actor@1+refiner@1"


async def test_a_search_may_ask_for_versions(
    client: httpx.AsyncClient, registry: Registry, engine: LoadingEngine
) -> None:
    registry.activate(Versions())
    answer = await post(
        client, "/generate", prompt="Name a river.", search=SMALL, checkpoint={"actor": 1}
    )
    assert answer["checkpoint"] == {"actor": 1, "refiner": 0}
    assert asked(engine) == {"actor@1", "refiner@0"}
    assert registry.versions == Versions()


async def test_a_judgment_may_ask_for_a_version(
    client: httpx.AsyncClient, registry: Registry, engine: LoadingEngine
) -> None:
    registry.activate(Versions())
    body = {"prompt": "Name a river.", "response": "Nile", "checkpoint": {"refiner": 1}}
    assert (await post(client, "/judge", **body))["checkpoint"] == {"actor": 0, "refiner": 1}
    assert asked(engine) == {"refiner@1"}


@pytest.mark.parametrize(
    ("model", "body", "names", "fingerprint"),
    [
        ("actor", {}, {"actor@0"}, "actor@0+refiner@0"),
        ("actor@1", {}, {"actor@1"}, "actor@1+refiner@0"),
        ("refiner@1", {}, {"refiner@1"}, "actor@0+refiner@1"),
        ("actor", {"checkpoint": {"actor": 1}}, {"actor@1"}, "actor@1+refiner@0"),
        ("actor@1:bfs", {}, {"actor@1", "refiner@0"}, "actor@1+refiner@0"),
        (
            "actor:bfs",
            {"checkpoint": {"refiner": 1}},
            {"actor@0", "refiner@1"},
            "actor@0+refiner@1",
        ),
    ],
)
async def test_a_chat_completion_may_ask_for_versions(
    client: httpx.AsyncClient,
    registry: Registry,
    engine: LoadingEngine,
    model: str,
    body: dict[str, Any],
    names: set[str],
    fingerprint: str,
) -> None:
    registry.activate(Versions())
    answer = await chat(client, model, **body)
    assert (answer["model"], answer["system_fingerprint"]) == (model, fingerprint)
    assert asked(engine) == names


@pytest.mark.parametrize(
    ("checkpoint", "status", "reason"),
    [
        ({"actor": 7}, 404, "there is no checkpoint actor@7"),
        ({"actor": 2}, 409, "actor@2 cannot be served"),
        ({"actor": -1}, 422, "greater than or equal to 0"),
        ({"actor": 10**9}, 422, "less than"),
        ({"writer": 1}, 422, "writer"),
    ],
)
@pytest.mark.parametrize("path", ["/generate", "/judge", "/v1/chat/completions"])
async def test_versions_that_cannot_answer_are_refused(
    client: httpx.AsyncClient,
    registry: Registry,
    path: str,
    checkpoint: dict[str, int],
    status: int,
    reason: str,
) -> None:
    registry.activate(Versions())
    body: dict[str, Any] = {"prompt": "Name a river."}
    if path == "/judge":
        body["response"] = "Nile"
    elif path != "/generate":
        body = {"model": "actor", "messages": MESSAGES}
    response = await client.post(path, json=body | {"checkpoint": checkpoint})
    assert response.status_code == status
    assert reason in response.text


async def test_a_name_and_a_field_that_differ_are_refused(
    client: httpx.AsyncClient, registry: Registry
) -> None:
    registry.activate(Versions())
    body = {"model": "actor@1", "messages": MESSAGES, "checkpoint": {"actor": 2}}
    response = await client.post("/v1/chat/completions", json=body)
    assert (response.status_code, response.json()["field"]) == (422, "checkpoint.actor")


async def test_the_versions_served_now_are_among_the_models(
    client: httpx.AsyncClient, registry: Registry
) -> None:
    before = [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
    registry.activate(Versions(1, 0))
    after = [model["id"] for model in (await client.get("/v1/models")).json()["data"]]
    assert after == [*before, "actor@1", "refiner@0"]

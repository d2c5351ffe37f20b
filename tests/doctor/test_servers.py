"""Checks over HTTP, against servers that behave like vLLM's, and of our own server."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import Response

from app import __version__
from app.doctor import Finding, Level, servers
from app.doctor.servers import engine, engines
from app.domain.checkpoint import Role
from tests.helpers.serving import served
from tests.helpers.vllm_like import VllmLike

MODEL = "/models/base"
NOBODY = "http://127.0.0.1:9"
KEY = "a-key"
BEARER = f"Bearer {KEY}"
HEALTHY: dict[str, Any] = {"engine_ready": True, "version": __version__}


async def found(app: Any, model: str | None = MODEL, key: str | None = None) -> Finding:
    """What is found of a server that is this application."""
    async with served(app) as url:
        return await asyncio.to_thread(engine, f"{url}/v1", model, key)


@pytest.mark.parametrize("model", [MODEL, "base-model"])
async def test_a_server_that_is_well_and_serves_the_model_is_fine(model: str) -> None:
    finding = await found(VllmLike().app, model)
    assert finding.level is Level.OK
    assert MODEL in finding.words


async def test_a_server_that_is_not_well_fails() -> None:
    server = VllmLike()
    server.unwell = True
    finding = await found(server.app)
    assert finding.level is Level.FAIL
    assert "503" in finding.words


@pytest.mark.parametrize("url", [NOBODY, "nowhere", "ftp://127.0.0.1"])
def test_where_no_server_is_nothing_answers(url: str) -> None:
    finding = engine(url, MODEL, None)
    assert finding.level is Level.FAIL
    assert finding.fix


@pytest.mark.parametrize("model", ["owner/another", None])
async def test_another_model_is_told(model: str | None) -> None:
    finding = await found(VllmLike().app, model)
    assert finding.level is Level.WARN
    assert MODEL in finding.words
    assert "SPAR_MODEL" in finding.fix


async def test_a_folder_is_known_by_its_real_path(tmp_path: Path) -> None:
    app = FastAPI()
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "link").symlink_to(folder)
    listed = {"data": [{"id": "tiny", "root": str(folder)}]}
    app.get("/v1/models")(lambda: listed)
    app.post("/v1/load_lora_adapter")(lambda: None)
    assert (await found(app, str(tmp_path / "link"))).level is Level.OK


async def test_a_server_without_adapters_is_told() -> None:
    server = VllmLike()
    server.runtime_lora = False
    finding = await found(server.app)
    assert finding.level is Level.WARN
    assert "--enable-lora" in finding.fix


async def test_looking_changes_nothing_on_the_server() -> None:
    server = VllmLike()
    await found(server.app)
    assert (server.adapters, server.loads, server.calls) == ({}, [], [])


async def test_a_server_that_asks_for_a_key_gets_the_configured_one() -> None:
    server = VllmLike()

    @server.app.middleware("http")
    async def ask(request: Request, call_next: Any) -> Any:
        free = request.url.path == "/health" or request.headers.get("authorization") == BEARER
        return await call_next(request) if free else Response(status_code=401)

    assert (await found(server.app, key=KEY)).level is Level.OK
    for wrong in (None, "another"):
        finding = await found(server.app, key=wrong)
        assert finding.level is Level.FAIL
        assert "SPAR_ENGINES_KEY" in finding.fix


@pytest.mark.parametrize("answer", ["hello", {"data": []}, {"data": [1]}, [], None])
async def test_a_server_of_another_kind_fails(answer: Any) -> None:
    app = FastAPI()
    app.get("/v1/models")(lambda: answer)
    finding = await found(app)
    assert finding.level is Level.FAIL
    assert "SPAR_ENGINES" in finding.fix


async def test_every_address_has_a_line_once() -> None:
    async with served(VllmLike().app) as url:
        servers = {Role.ACTOR: (url, NOBODY), Role.REFINER: (url,)}
        findings = await asyncio.to_thread(lambda: list(engines(servers, MODEL, None)))
    assert [finding.level for finding in findings] == [Level.OK, Level.FAIL]


def test_without_addresses_the_engine_is_here() -> None:
    [finding] = engines({}, MODEL, None)
    assert finding.level is Level.OK


def test_a_taken_port_is_fine_only_if_it_is_ours() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        number = listener.getsockname()[1]
        taken = servers.port("127.0.0.1", number, None)
        assert taken.level is Level.FAIL
        assert "another port" in taken.fix
        assert servers.port("127.0.0.1", number, HEALTHY).level is Level.OK
    assert servers.port("127.0.0.1", 0, None).level is Level.OK


@pytest.mark.parametrize(
    "trouble",
    [
        {"engine_ready": False},
        {"version": "0.0.1"},
        {"searches_lost": 2},
        {"engine_restarts": 1},
    ],
)
def test_problems_of_the_server_are_reported(trouble: dict[str, Any]) -> None:
    assert servers.server(None).level is Level.OK
    assert servers.server(HEALTHY).level is Level.OK
    finding = servers.server(HEALTHY | trouble)
    assert finding.level is Level.WARN
    assert finding.fix


def test_a_server_whose_engine_sleeps_is_well() -> None:
    finding = servers.server(HEALTHY | {"engine_ready": False, "engine_asleep": True})
    assert finding.level is Level.OK
    assert "sleeps" in finding.words


def test_a_worker_needs_its_server() -> None:
    assert servers.worker(None, None).level is Level.OK
    assert servers.worker("http://x", HEALTHY).level is Level.OK
    assert servers.worker("http://x", None).level is Level.FAIL


def test_a_missing_server_has_no_health() -> None:
    assert servers.ask_health("http://127.0.0.1:9") is None
    assert servers.ask_health("nonsense") is None

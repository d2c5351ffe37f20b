"""Classification of rejections: retry, fail the row, or fail the run."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from app.errors import ConfigurationError
from app.evaluation.http import Patience, RowRefused, RunRefused, Server, ServerGone
from tests.helpers.serving import served

QUICK = Patience(seconds=0.3, pause=0.01)


class Said(BaseModel):
    """What the replies of these tests hold."""

    said: str


@asynccontextmanager
async def replying(
    *replies: tuple[int, dict[str, object]], patience: Patience = QUICK
) -> AsyncIterator[tuple[Server, list[str | None]]]:
    """A server that gives these replies in turn, the last one for ever; and the keys shown."""
    app, left, keys = FastAPI(), list(replies), list[str | None]()

    @app.post("/ask")
    async def ask(request: Request) -> JSONResponse:
        keys.append(request.headers.get("authorization"))
        status, body = left.pop(0) if len(left) > 1 else left[0]
        return JSONResponse(body, status)

    async with served(app) as url:
        server = Server(url, at_once=2, key="secret", patience=patience)
        try:
            yield server, keys
        finally:
            await server.close()


def problem(status: int, field: str | None = None) -> tuple[int, dict[str, object]]:
    return status, {"message": f"no: {status}", "field": field}


FINE: tuple[int, dict[str, object]] = (200, {"said": "yes"})


@pytest.mark.parametrize("status", [429, 503])
async def test_unavailable_server_is_retried(status: int) -> None:
    async with replying(problem(status), problem(status), FINE) as (server, asked):
        assert (await server.post(Said, "/ask", {})).said == "yes"
    assert len(asked) == 3


async def test_retries_end_after_the_patience() -> None:
    async with replying(problem(503)) as (server, _):
        with pytest.raises(ServerGone, match="stayed unavailable: no: 503"):
            await server.post(Said, "/ask", {})


async def test_patience_starts_at_the_first_failure() -> None:
    app = FastAPI()
    asked = 0

    @app.post("/ask")
    async def ask() -> JSONResponse:
        nonlocal asked
        asked += 1
        await asyncio.sleep(2 * QUICK.seconds if asked == 1 else 0)
        return JSONResponse({"said": "yes", "message": ""}, 503 if asked == 1 else 200)

    async with served(app) as url:
        server = Server(url, at_once=1, patience=QUICK)
        assert (await server.post(Said, "/ask", {})).said == "yes"
        await server.close()


async def test_refused_connection_raises_server_gone() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = Server(f"http://127.0.0.1:{port}", at_once=1, patience=QUICK)
    assert not await server.answers()
    with pytest.raises(ServerGone):
        await server.post(Said, "/ask", {})
    await server.close()


@pytest.mark.parametrize(
    ("status", "field"), [(413, None), (422, "messages.0.content"), (422, "constraints.0.id")]
)
async def test_row_fields_raise_row_refused(status: int, field: str | None) -> None:
    async with replying(problem(status, field)) as (server, asked):
        with pytest.raises(RowRefused, match=f"no: {status}"):
            await server.post(Said, "/ask", {})
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("status", "field"),
    [(401, None), (404, "model"), (409, None), (422, "search.votes"), (422, None)],
)
async def test_common_fields_raise_run_refused(status: int, field: str | None) -> None:
    async with replying(problem(status, field)) as (server, asked):
        with pytest.raises(RunRefused, match=f"no: {status}"):
            await server.post(Said, "/ask", {})
    assert len(asked) == 1


async def test_persistent_server_error_fails_only_the_row() -> None:
    async with replying(problem(502)) as (server, asked):
        with pytest.raises(RowRefused, match="no: 502"):
            await server.post(Said, "/ask", {})
    assert len(asked) == 3


async def test_reply_of_another_program_is_refused() -> None:
    async with replying((200, {"hello": "world"})) as (server, _):
        with pytest.raises(RunRefused, match="cannot be understood"):
            await server.post(Said, "/ask", {})


async def test_lone_surrogate_fails_the_row() -> None:
    async with replying(FINE) as (server, asked):
        with pytest.raises(RowRefused, match="lone surrogate"):
            await server.post(Said, "/ask", {"text": "\ud800"})
    assert asked == []


async def test_api_key_is_sent() -> None:
    async with replying(FINE) as (server, keys):
        await server.post(Said, "/ask", {})
    assert keys == ["Bearer secret"]


async def test_no_more_requests_are_in_flight_than_allowed() -> None:
    app = FastAPI()
    running, peak = 0, 0

    @app.post("/ask")
    async def ask() -> dict[str, str]:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0.02)
        running -= 1
        return {"said": "yes"}

    async with served(app) as url:
        server = Server(url, at_once=3, patience=QUICK)
        await asyncio.gather(*(server.post(Said, "/ask", {}) for _ in range(12)))
        await server.close()
    assert peak == 3


async def test_rejection_without_message_names_the_server() -> None:
    async with replying(FINE) as (server, _):
        with pytest.raises(
            RunRefused, match=rf"{server.url}/nowhere answered 404 Not Found without a reason"
        ):
            await server.get(Said, "/nowhere")


@pytest.mark.parametrize("key", ["ключ", "two\nlines"])
def test_key_with_invalid_header_characters_is_refused(key: str) -> None:
    with pytest.raises(ConfigurationError, match="the API key contains"):
        Server("http://localhost", at_once=1, key=key)


@pytest.mark.parametrize(
    "url", ["ftp://host", "localhost:8000", "http://", "http://é é", "http://a:b"]
)
def test_malformed_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="is not an address"):
        Server(url, at_once=1)

"""Classification of responses by the client."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.chaos.asking import Ask, Endpoint
from tests.chaos.load import Load
from tests.chaos.outcome import End, Outcome

CHECKPOINT = {"actor": 1, "refiner": 2}
FOUND = {
    "id": "01ARZ3NDEKTSV4RRFFQ69G5FAV",
    "checkpoint": CHECKPOINT,
    "response": "The Nile, says actor@1.",
    "usage": {"completion_tokens": 9},
}
PROBLEM: dict[str, object] = {
    "type": "overloaded",
    "title": "Full",
    "status": 429,
    "message": "come back later",
}
CHAT_ERROR = json.dumps({"error": PROBLEM})
OK = "HTTP/1.1 200 OK\r\nconnection: close\r\n"
EVENTS = f"{OK}content-type: text/event-stream\r\n\r\n"
START = f"event: start\ndata: {json.dumps({'checkpoint': CHECKPOINT})}\n\n"

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def whole(status: str, media_type: str, content: Any) -> str:
    """A complete response."""
    body = json.dumps(content)
    head = f"HTTP/1.1 {status}\r\ncontent-type: {media_type}\r\ncontent-length: {len(body)}\r\n"
    return f"{head}\r\n{body}"


@asynccontextmanager
async def saying(text: str) -> Any:
    """A server that sends this response and closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(text.encode())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def outcome(text: str, endpoint: Endpoint, leave_after: float | None = None) -> Outcome:
    """The outcome of a request with this response."""
    async with saying(text) as url:
        load = Load(url, 1, 1, seconds=5)
        return await load.ask(Ask(1, endpoint, "a prompt", {}, leave_after))


@pytest.mark.parametrize(
    ("endpoint", "text", "end"),
    [
        (Endpoint.GENERATE, whole("200 OK", "application/json", FOUND), End.ANSWERED),
        (Endpoint.GENERATE, whole("200 OK", "application/json", {"id": 1}), End.GARBLED),
        (Endpoint.GENERATE, f"{OK}\r\n{{", End.GARBLED),
        (Endpoint.GENERATE, f"{OK}content-length: 100\r\n\r\n{{", End.CUT),
        (Endpoint.GENERATE, "", End.CUT),
        (
            Endpoint.GENERATE,
            whole("429 Too Many", "application/problem+json", PROBLEM),
            End.CLEAN_ERROR,
        ),
        (Endpoint.GENERATE, whole("429 Too Many", "application/json", PROBLEM), End.GARBLED),
        (Endpoint.GENERATE, whole("500 Error", "application/problem+json", PROBLEM), End.GARBLED),
        (
            Endpoint.GENERATE_STREAM,
            f"{EVENTS}{START}event: final\ndata: {json.dumps(FOUND)}\n\n",
            End.ANSWERED,
        ),
        (
            Endpoint.GENERATE_STREAM,
            f"{EVENTS}{START}event: error\ndata: {json.dumps(PROBLEM)}\n\n",
            End.CLEAN_ERROR,
        ),
        (Endpoint.GENERATE_STREAM, f"{EVENTS}{START}", End.CUT),
        (
            Endpoint.CHAT_STREAM,
            f'{EVENTS}data: {{"error": {json.dumps(PROBLEM)}}}\n\n',
            End.CLEAN_ERROR,
        ),
        (Endpoint.CHAT_STREAM, f"{EVENTS}data: [DONE]\n\n", End.GARBLED),
    ],
)
async def test_responses_are_classified(endpoint: Endpoint, text: str, end: End) -> None:
    found = await outcome(text, endpoint)
    assert found.end is end, found


async def test_an_answer_is_read() -> None:
    found = await outcome(
        f"{EVENTS}{START}event: final\ndata: {json.dumps(FOUND)}\n\n", Endpoint.GENERATE_STREAM
    )
    answer = found.answer
    assert answer is not None
    assert (answer.versions, answer.announced) == ((1, 2), (1, 2))
    assert (answer.search_id, answer.tokens) == (FOUND["id"], 9)
    assert answer.named == {("actor", 1)}


async def test_a_refused_connection_is_classified() -> None:
    async with saying("") as url:
        pass
    found = await Load(url, 1, 1, seconds=5).ask(Ask(1, Endpoint.CHAT, "a prompt", {}))
    assert found.end is End.TURNED_AWAY


async def test_a_server_that_times_out_is_silent_and_a_client_may_disconnect() -> None:
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(1)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        load = Load(url, 1, 1, seconds=0.1)
        assert (await load.ask(Ask(1, Endpoint.CHAT, "a prompt", {}))).end is End.SILENT
        assert (await load.ask(Ask(1, Endpoint.CHAT, "a prompt", {}, 0.01))).end is End.LEFT

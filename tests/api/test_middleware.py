"""The limit on request bodies, announced or not."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import Body, FastAPI

from app.api.middleware import BodyLimit
from app.api.problems import add_handlers

LIMIT = 1000


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    app.add_middleware(BodyLimit, max_bytes=LIMIT)
    add_handlers(app)

    @app.post("/echo")
    async def echo(text: str = Body(embed=True)) -> str:
        return text

    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def body_of(size: int) -> bytes:
    frame = b'{"text": ""}'
    return frame[:-2] + b"x" * (size - len(frame)) + frame[-2:]


async def in_pieces(body: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(body), 100):
        yield body[start : start + 100]


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize(("size", "status"), [(LIMIT, 200), (LIMIT + 1, 413), (50_000, 413)])
async def test_up_to_the_limit_and_no_further(
    client: httpx.AsyncClient, chunked: bool, size: int, status: int
) -> None:
    body = body_of(size)
    content: Any = in_pieces(body) if chunked else body
    response = await client.post(
        "/echo", content=content, headers={"content-type": "application/json"}
    )
    assert response.status_code == status
    if status == 413:
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["connection"] == "close"
        assert response.json()["type"] == "body_too_large"
        assert f"{LIMIT} bytes" in response.json()["message"]


async def test_a_body_that_announces_too_much_is_not_read(client: httpx.AsyncClient) -> None:
    read = []

    async def pieces() -> AsyncIterator[bytes]:
        read.append(1)
        yield b"{}"

    headers = {"content-length": str(LIMIT + 1), "content-type": "application/json"}
    response = await client.post("/echo", content=pieces(), headers=headers)
    assert response.status_code == 413
    assert not read

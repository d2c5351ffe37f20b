"""Errors as problem details."""

from collections.abc import AsyncIterator, Sequence

import httpx
import pytest
from fastapi import FastAPI, HTTPException

from app.api.problems import add_handlers, field_name
from app.api.schemas import GenerateIn, Problem
from app.errors import EngineUnavailable, InvalidRequest, SparError

JSON = {"content-type": "application/json"}


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = FastAPI()
    add_handlers(app)

    @app.post("/generate")
    async def generate(body: GenerateIn) -> str:
        return "fine"

    @app.get("/busy")
    async def busy() -> None:
        raise EngineUnavailable("the engine is starting", retry_after=10)

    @app.get("/wrong")
    async def wrong() -> None:
        raise InvalidRequest("too many", field="search.n")

    @app.get("/teapot")
    async def teapot() -> None:
        raise HTTPException(418, "short and stout", {"x-spout": "here"})

    @app.get("/broken")
    async def broken() -> None:
        raise ZeroDivisionError("secret detail")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


def details(response: httpx.Response) -> Problem:
    assert response.headers["content-type"] == "application/problem+json"
    problem = Problem.model_validate_json(response.content)
    assert problem.status == response.status_code
    assert None not in response.json().values(), "an absent field is left out"
    return problem


async def test_our_errors_keep_their_status_field_and_pause(client: httpx.AsyncClient) -> None:
    busy = await client.get("/busy")
    assert details(busy).type == "engine_unavailable"
    assert busy.status_code == 503
    assert busy.headers["retry-after"] == "10"
    wrong = await client.get("/wrong")
    assert details(wrong).field == "search.n"
    assert "retry-after" not in wrong.headers


async def test_an_unexpected_error_hides_its_details(client: httpx.AsyncClient) -> None:
    response = await client.get("/broken")
    assert details(response).type == "internal"
    assert "secret" not in response.text


async def test_any_other_http_error_keeps_its_headers(client: httpx.AsyncClient) -> None:
    response = await client.get("/teapot")
    assert details(response).message == "short and stout"
    assert response.headers["x-spout"] == "here"


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/nowhere", 404, "no route /nowhere"),
        ("GET", "/generate", 405, "/generate does not accept GET"),
    ],
)
async def test_an_unknown_path_is_not_found(
    client: httpx.AsyncClient, method: str, path: str, status: int, words: str
) -> None:
    problem = details(await client.request(method, path))
    assert problem.status == status
    assert words in problem.message


@pytest.mark.parametrize(
    ("content", "status", "field", "words"),
    [
        ("{", 400, None, "not valid JSON: Expecting"),
        (b'"\xff"', 400, None, "UTF-8"),
        ("[" * 100_000, 400, None, "nested too deeply"),
        ("[]", 422, None, "the body must be a JSON object"),
        ('{"prompt": "x", "search": 1}', 422, "search", "`search` must be a JSON object"),
        ('{"prompt": "x", "what": 1}', 422, "what", "`what` is not known"),
        (
            '{"prompt": "x", "search": {"gate": 0.7}}',
            422,
            "search.gate",
            "`search.gate` has been renamed to `search.accept_threshold`",
        ),
        (
            '{"prompt": "x", "search": {"first_look": true}}',
            422,
            "search.first_look",
            "renamed to `search.quick_verdict`",
        ),
        ('{"messages": [{"role": "user"}]}', 422, "messages.0.content", "is required"),
        ('{"prompt": "x", "search": {"n": 0, "votes": 0}}', 422, "search.n", "(and 1 more)"),
    ],
)
async def test_a_bad_body(
    client: httpx.AsyncClient, content: str | bytes, status: int, field: str | None, words: str
) -> None:
    problem = details(await client.post("/generate", content=content, headers=JSON))
    assert problem.status == status
    assert problem.field == field
    assert words in problem.message


async def test_a_body_that_is_not_called_json(client: httpx.AsyncClient) -> None:
    response = await client.post("/generate", content='{"prompt": "x"}')
    assert details(response).type == "unsupported_media_type"


@pytest.mark.parametrize(
    ("location", "name"),
    [
        (("body", "search", "n"), "search.n"),
        (("query", "limit"), "limit"),
        (("body",), None),
        (("body", "path"), "path"),
        (("query", "query"), "query"),
        (("body", "header", 0, "body"), "header.0.body"),
    ],
)
def test_a_field_is_named_without_where_it_came_from(
    location: Sequence[int | str], name: str | None
) -> None:
    assert field_name(location) == name


def test_every_error_has_a_type_of_its_own() -> None:
    # Errors of the command line and the worker have no type: they never reach a client.
    told = [kind for kind in SparError.__subclasses__() if kind.__module__ == SparError.__module__]
    kinds: list[type[SparError]] = [SparError, *told]
    assert len({kind.type for kind in kinds}) == len(kinds)
    assert all(400 <= kind.status < 600 for kind in kinds)

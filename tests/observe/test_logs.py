"""Log lines: ids, both styles, and texts that must not appear."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app.observe import logs
from app.observe.logs import begin_request, configure_logs, note_search

Written = Callable[[], str]
SECRET = "the prompt that must not be logged"


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Iterator[Written]:
    """Returns what was logged since the last call; restores the logging configuration."""
    names = (None, *logs.OURS)
    loggers = [logging.getLogger(name) for name in names]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    yield lambda: capsys.readouterr().err
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:], logger.propagate = handlers, propagate
        logger.setLevel(level)


def lines(written: Written) -> list[dict[str, Any]]:
    """Every line, read as JSON."""
    return [json.loads(line) for line in written().splitlines()]


def test_json_has_one_object_a_line_whatever_is_said(written: Written) -> None:
    configure_logs("json", "info", "server")
    try:
        raise ValueError("two\nlines")
    except ValueError:
        logging.getLogger("app.x").exception('a "quoted"\nthing: %s', "\u2028")
    [line] = lines(written)
    assert line["message"] == 'a "quoted"\nthing: \u2028'
    assert (line["level"], line["logger"], line["process"]) == ("error", "app.x", "server")
    assert line["traceback"].endswith("ValueError: two\nlines")
    assert line["time"].endswith("+00:00")


def test_the_ids_of_the_request_and_its_search_are_in_the_lines(written: Written) -> None:
    for style in ("json", "text"):
        configure_logs(style, "info", "server")
        begin_request("r-1")
        logging.getLogger("app").info("before")
        note_search("s-1")
        logging.getLogger("uvicorn.error").info("after")
    first, second, *text = written().splitlines()
    assert json.loads(first)["request_id"] == json.loads(second)["request_id"] == "r-1"
    assert "search_id" not in json.loads(first)
    assert json.loads(second)["search_id"] == "s-1"
    assert text[0].endswith("server app: before [request r-1]")
    assert text[1].endswith("server uvicorn.error: after [request r-1 search s-1]")


def test_the_level_applies_to_the_projects_loggers(written: Written) -> None:
    configure_logs("json", "info", "server")
    for name in ("app.x", "uvicorn.error", "sqlalchemy.engine"):
        logging.getLogger(name).info("said")
        logging.getLogger(name).debug("murmured")
    assert [line["logger"] for line in lines(written)] == ["app.x", "uvicorn.error"]


def test_configuring_twice_writes_once(written: Written) -> None:
    configure_logs("text", "info", "server")
    configure_logs("text", "info", "server")
    logging.getLogger("app").info("once")
    assert written().count("once") == 1


async def test_a_request_has_a_line_with_its_search(
    client: httpx.AsyncClient, written: Written
) -> None:
    configure_logs("json", "info", "server")
    body = {"prompt": SECRET, "mode": "greedy"}
    response = await client.post("/generate?x=1", json=body, headers={"X-Request-Id": "mine-1"})
    assert response.headers["X-Request-Id"] == "mine-1"
    [line] = [line for line in lines(written) if line["logger"] == "app.access"]
    assert line["request_id"] == "mine-1"
    assert line["search_id"] == response.json()["id"]
    assert (line["method"], line["route"], line["status"]) == ("POST", "/generate", 200)
    assert line["duration_ms"] > 0


@pytest.mark.parametrize("sent", [None, "", "a b", "ü", "x" * 129, 'a"b', "{}"])
async def test_an_invalid_request_id_is_replaced(
    client: httpx.AsyncClient, sent: str | None
) -> None:
    headers = {} if sent is None else {"X-Request-Id": sent.encode()}
    response = await client.get("/healthz", headers=headers)  # type: ignore[arg-type]
    assert response.headers["X-Request-Id"].startswith("req-")
    assert len(response.headers["X-Request-Id"]) == 30


async def test_every_request_has_an_id_of_its_own(client: httpx.AsyncClient) -> None:
    ids = [(await client.get("/healthz")).headers["X-Request-Id"] for _ in range(3)]
    assert len(set(ids)) == 3


async def test_an_unexpected_error_has_the_id_too(
    client: httpx.AsyncClient, app: FastAPI, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(app.state.services.engine, "complete", fail)
    body = {"model": "actor", "messages": [{"role": "user", "content": "hello"}]}
    response = await client.post(
        "/v1/chat/completions", json=body, headers={"X-Request-Id": "mine-2"}
    )
    assert response.status_code == 500
    assert response.headers.get_list("X-Request-Id") == ["mine-2"]


async def test_prompts_and_answers_are_in_no_line(
    client: httpx.AsyncClient, written: Written
) -> None:
    configure_logs("json", "debug", "server")
    chat = {"model": "actor:bfs", "messages": [{"role": "user", "content": SECRET}]}
    answer = await client.post("/v1/chat/completions", json=chat)
    assert answer.status_code == 200
    await client.post("/judge", json={"prompt": SECRET, "response": SECRET})
    await client.post("/generate", json={"prompt": SECRET, "mode": SECRET})
    await client.get("/searches", params={"cursor": SECRET})
    told = written()
    assert told.count("app.access") == 4
    assert SECRET not in told
    assert answer.json()["choices"][0]["message"]["content"] not in told

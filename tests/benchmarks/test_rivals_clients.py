"""The contenders of our own take the work they are said to take, through the real endpoints."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from benchmarks.rivals.clients import generate, sequential
from benchmarks.rivals.clients.protocol import Contender as Open
from benchmarks.rivals.clients.protocol import Job, Result, answer_all
from benchmarks.rivals.contenders import (
    FREE,
    OUR_BEST,
    OUR_TREE,
    SEQUENTIAL,
    VOTES,
    Contender,
    checkable_questions,
    long_questions,
)
from benchmarks.rivals.server import Tally
from tests.helpers.rivals import MeteredWords, benchmark_server

RESPONSE, JUDGMENT = 6, 64
OPEN: dict[str, Open] = {SEQUENTIAL.module: sequential.searching}


class Server:
    """The server's engine, and a client for its control endpoints."""

    def __init__(self, url: str, engine: MeteredWords, http: httpx.AsyncClient) -> None:
        self.url, self.engine, self._http = url, engine, http

    async def run(self, contender: Contender, job: Job) -> tuple[Result, Tally]:
        """One contender's job, in this process."""
        begun = await self._http.post("/benchmark/begin", json={"forced": job.forced})
        begun.raise_for_status()
        job = replace(job, url=self.url, options=dict(contender.options))
        result = await answer_all(job, OPEN.get(contender.module, generate.searching))
        return result, Tally(**(await self._http.get("/benchmark/tally")).json())

    async def raw(self, texts: int, max_tokens: int) -> float:
        """The bare engine's seconds."""
        body = {"texts": ["a"] * texts, "max_tokens": max_tokens}
        return float((await self._http.post("/benchmark/raw", json=body)).json())


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    """The benchmark's endpoints over a scripted engine."""
    engine = MeteredWords()
    async with (
        benchmark_server(engine, tmp_path) as url,
        httpx.AsyncClient(base_url=url) as http,
    ):
        yield Server(url, engine, http)


def job(questions: int, *, at_once: int = 1, forced: bool = True) -> Job:
    """Questions with the lengths of this module."""
    asked = long_questions(questions) if forced else checkable_questions(questions)
    return Job("", at_once, forced, RESPONSE, JUDGMENT, asked)


@pytest.mark.parametrize("ours", [OUR_TREE, OUR_BEST], ids=["tree", "best"])
async def test_forced_work_generates_the_declared_tokens(server: Server, ours: Contender) -> None:
    result, tally = await server.run(ours, job(3, at_once=2))

    assert len(result.answers) == 3
    assert tally.completion_tokens == 3 * ours.tokens(RESPONSE, JUDGMENT)
    assert tally.verdicts == 3 * ours.judgments


async def test_the_sequential_search_does_the_same_work_one_request_at_a_time(
    server: Server,
) -> None:
    server.engine.accepts = True  # forced work does not depend on it

    _, tally = await server.run(SEQUENTIAL, job(1))

    assert tally.completion_tokens == OUR_TREE.tokens(RESPONSE, JUDGMENT)
    assert server.engine.peak == VOTES


async def test_the_sequential_search_ends_with_the_level_that_has_an_accepted_node(
    server: Server,
) -> None:
    server.engine.accepts = True

    result, tally = await server.run(SEQUENTIAL, job(1, forced=False))

    first_level = 3 * RESPONSE + 3 * VOTES * (JUDGMENT + 1)
    assert result.answers[0].text.startswith("text-1 ")
    assert tally.completion_tokens <= first_level
    assert tally.completions == 3 + 3 * VOTES * 2


async def test_free_searches_are_valid_requests(server: Server) -> None:
    for contender in FREE:
        if contender.module == OUR_TREE.module:
            result, _ = await server.run(contender, job(2, at_once=2, forced=False))
            assert all(answer.text for answer in result.answers)


async def test_the_bare_engine_is_counted_like_a_contender(server: Server) -> None:
    assert await server.raw(5, RESPONSE) > 0
    assert server.engine.meter.tally.completion_tokens == 5 * RESPONSE


async def test_begin_is_refused_while_calls_are_in_flight(server: Server) -> None:
    server.engine.running = 1
    with pytest.raises(httpx.HTTPStatusError, match="409"):
        await server.run(OUR_BEST, job(1))

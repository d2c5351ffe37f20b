"""Greedy answers over HTTP: both of our endpoints versus `vllm serve`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.measure import Context, Row, Spread, Stopwatch, Target, Work, alternate
from benchmarks.servers import our_server, reference_server, running

REFERENCE = "vllm serve"
LOADS = (1, 8, 32)
ANSWER_TOKENS = 128
SHORT_ANSWER_TOKENS = 16
REQUESTS_PER_SLOT = {1: 4, 8: 2, 32: 2}
PAIRS = 60


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint for greedy answers: its URL and request body."""

    name: str
    url: str
    body: Callable[[str, int], dict[str, Any]]

    async def ask(self, client: httpx.AsyncClient, instruction: str, max_tokens: int) -> int:
        """Request an answer, and return its number of tokens.

        Raises:
            httpx.HTTPError: The request failed.
        """
        response = await client.post(self.url, json=self.body(instruction, max_tokens))
        response.raise_for_status()
        tokens: int = response.json()["usage"]["completion_tokens"]
        return tokens


class OverHttp:
    """Throughput at several loads, and the latency that is added to a lone request."""

    async def run(self, context: Context) -> list[Row]:
        """Start both servers, load one at a time."""
        rows = []
        context.say("starting two servers")
        async with _endpoints(context) as endpoints, _client() as client:
            for load in context.loads(*LOADS):
                rows += await _throughput(context, client, endpoints, load)
            if 1 in context.loads(*LOADS):
                rows += await _latency(context, client, endpoints)
        return rows


@asynccontextmanager
async def _endpoints(context: Context) -> AsyncIterator[list[Endpoint]]:
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        reference = reference_server(context.model, context.settings)
        # One after the other: two starting models would slow each other down.
        theirs = await stack.enter_async_context(running(reference, folder))
        ours = await stack.enter_async_context(
            running(our_server(context.model, folder / "data"), folder)
        )
        yield [
            Endpoint(REFERENCE, f"{theirs}/v1/chat/completions", _chat_body),
            Endpoint("/generate", f"{ours}/generate", _generate_body),
            Endpoint("/v1/chat/completions", f"{ours}/v1/chat/completions", _chat_body),
        ]


def _client() -> httpx.AsyncClient:
    return httpx.AsyncClient(timeout=600, limits=httpx.Limits(max_connections=None))


async def _throughput(
    context: Context, client: httpx.AsyncClient, endpoints: Sequence[Endpoint], load: int
) -> list[Row]:
    instructions = list(islice(cycle(LONG_INSTRUCTIONS), load * _requests_per_slot(load, context)))
    for endpoint in endpoints:  # every prompt is in both prefix caches before anything is timed
        await asyncio.gather(*(endpoint.ask(client, text, 1) for text in set(instructions)))

    async def timed(endpoint: Endpoint) -> Work:
        context.say(f"{endpoint.name}, {load} at once")
        watch = Stopwatch()
        tokens = await _closed_loop(context, client, endpoint, instructions, load)
        return Work(watch.seconds, tokens)

    works = await alternate(
        {endpoint.name: partial(timed, endpoint) for endpoint in endpoints}, context.rounds
    )
    rates = {name: [work.rate for work in found] for name, found in works.items()}
    detail = {"tokens_per_second": rates, "requests": len(instructions)}
    target = Target(1.0) if load == LOADS[-1] else None
    return [
        Row(
            f"tokens/s, {name}",
            load,
            Spread.of_ratios(rates[name], rates[REFERENCE]),
            target=target,
            detail=detail,
        )
        for name in rates
        if name != REFERENCE
    ]


async def _closed_loop(
    context: Context,
    client: httpx.AsyncClient,
    endpoint: Endpoint,
    instructions: Sequence[str],
    load: int,
) -> int:
    """Answer all instructions, `load` at any time; returns the tokens generated."""
    waiting = list(reversed(instructions))

    async def work_off() -> int:
        tokens = 0
        while waiting:
            tokens += await endpoint.ask(client, waiting.pop(), _answer_tokens(context))
        return tokens

    return sum(await asyncio.gather(*(work_off() for _ in range(load))))


async def _latency(
    context: Context, client: httpx.AsyncClient, endpoints: Sequence[Endpoint]
) -> list[Row]:
    instructions = LONG_INSTRUCTIONS[:8]
    for endpoint in endpoints:
        for text in instructions:
            await endpoint.ask(client, text, 1)
    context.say("latency of a lone request")

    async def timed(endpoint: Endpoint, texts: Iterator[str]) -> float:
        watch = Stopwatch()
        await endpoint.ask(client, next(texts), SHORT_ANSWER_TOKENS)
        return watch.seconds * 1000

    contenders = {
        endpoint.name: partial(timed, endpoint, cycle(instructions)) for endpoint in endpoints
    }
    times = await alternate(contenders, _pairs(context))
    reference = times.pop(REFERENCE)
    return [
        Row(
            f"added latency, {name}",
            1,
            Spread.of(our - their for our, their in zip(found, reference, strict=True)),
            unit="ms",
            target=Target(5, at_least=False),
            detail={"median_ms": {name: median(found), REFERENCE: median(reference)}},
        )
        for name, found in times.items()
    ]


def _chat_body(instruction: str, max_tokens: int) -> dict[str, Any]:
    messages = [{"role": "user", "content": instruction}]
    return {"model": "actor", "messages": messages, "max_tokens": max_tokens, "temperature": 0}


def _generate_body(instruction: str, max_tokens: int) -> dict[str, Any]:
    return {"prompt": instruction, "mode": "greedy", "sampling": {"max_tokens": max_tokens}}


def _requests_per_slot(load: int, context: Context) -> int:
    return 1 if context.quick else REQUESTS_PER_SLOT[load]


def _answer_tokens(context: Context) -> int:
    return ANSWER_TOKENS // 4 if context.quick else ANSWER_TOKENS


def _pairs(context: Context) -> int:
    return 10 if context.quick else PAIRS

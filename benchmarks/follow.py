"""How soon two servers of one database answer by what one of them was told to serve."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from app.domain.checkpoint import Role
from benchmarks.context import Context
from benchmarks.measure import Spread, Stopwatch
from benchmarks.report import Row, Target
from benchmarks.servers import our_server, running
from benchmarks.swap import VERSIONS, prepare, promote

LIMIT_SECONDS = 2.0
PROMOTIONS = 10
"""In each round."""
LOOK_SECONDS = 0.02
GIVE_UP_SECONDS = 60.0


class Follow:
    """Two servers with an engine and cores of their own; versions are promoted to and fro."""

    def expected_tokens(self, context: Context) -> float:
        """Promotions, counted instead of tokens."""
        return context.rounds * _times(context)

    async def run(self, context: Context) -> list[Row]:
        """Seconds from the request to promote until both servers answer by it."""
        context.advance("starting two servers", 0)
        async with AsyncExitStack() as stack:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            await prepare(folder / "data", Path(context.model))
            clients = [
                await stack.enter_async_context(httpx.AsyncClient(base_url=url, timeout=600))
                for url in await _start(stack, context.model, folder)
            ]
            for version in VERSIONS:
                await _followed(clients, version)
            seconds = []
            for number in range(context.rounds * _times(context)):
                seconds.append(await _followed(clients, VERSIONS[number % len(VERSIONS)]))
                context.advance("promoting", 1)
        target = Target(LIMIT_SECONDS, at_least=False)
        return [Row("until both servers serve it", 1, Spread.of(seconds), "s", target)]


async def _start(stack: AsyncExitStack, model: str, folder: Path) -> list[str]:
    """Both servers' URLs, once they take requests."""
    cores = sorted(os.sched_getaffinity(0))
    urls = []
    for number in range(2):
        logs = folder / str(number)
        logs.mkdir()
        command = replace(our_server(model, folder / "data"), cores=cores[number::2] or cores)
        urls.append(await stack.enter_async_context(running(command, logs)))
    return urls


async def _followed(clients: Sequence[httpx.AsyncClient], version: int) -> float:
    """Promote this version of both roles at one server; the seconds until all answer by it."""
    watch = Stopwatch()
    await promote(clients[0], version)
    async with asyncio.timeout(GIVE_UP_SECONDS):
        await asyncio.gather(*(_until(client, version) for client in clients))
    return watch.seconds


async def _until(client: httpx.AsyncClient, version: int) -> None:
    body = {"prompt": "Name a river.", "mode": "greedy", "sampling": {"max_tokens": 1}}
    wanted = {str(role): version for role in Role}
    while True:
        answer = (await client.post("/generate", json=body)).raise_for_status()
        if answer.json()["checkpoint"] == wanted:
            return
        await asyncio.sleep(LOOK_SECONDS)


def _times(context: Context) -> int:
    return 2 if context.quick else PROMOTIONS

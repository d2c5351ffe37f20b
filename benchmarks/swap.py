"""How much longer the slowest searches take while checkpoints are swapped under them."""

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import numpy as np

from app.checkpoints.manifest import fingerprint, seal
from app.db.session import Database
from app.db.tables import CheckpointRow
from app.db.upgrade import upgrade
from app.domain.checkpoint import CheckpointKind, CheckpointStatus, Role, served_name
from app.domain.search import Mode
from benchmarks.adapters import Choice, write_adapter
from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.measure import Context, Row, Spread, Stopwatch, Target, alternate
from benchmarks.servers import our_server, running

LIMIT = 1.5
STILL, SWAPPING = "still", "swapping"
VERSIONS = (1, 2)
CHOICE = Choice(("o_proj", "down_proj"), 16)
SWAP_PAUSE_SECONDS = 1.0
SEARCHES_PER_MODE = 12
LENGTH = 24


class Swap:
    """One user per mode, each asking one search after the other.

    On both sides an adapter of each role serves. On one side they stay; on the other each role's
    version alternates between two every second.
    """

    async def run(self, context: Context) -> list[Row]:
        """The ratio of the 99th and the 50th percentiles, per round."""
        context.say("starting the server")
        with TemporaryDirectory() as name:
            folder = Path(name)
            await prepare(folder / "data", Path(context.model))
            async with (
                running(our_server(context.model, folder / "data"), folder) as url,
                httpx.AsyncClient(base_url=url, timeout=600) as client,
            ):
                await promote(client, VERSIONS[0])
                await promote(client, VERSIONS[1])
                await _ask_all(context, client)
                runs = await alternate(
                    {
                        STILL: lambda: _ask_all(context, client),
                        SWAPPING: lambda: _swap_and_ask(context, client),
                    },
                    context.rounds,
                )
        return [
            compared(99, runs[SWAPPING], runs[STILL]),
            compared(50, runs[SWAPPING], runs[STILL]),
        ]


def compared(percentile: int, swapping: Sequence[list[float]], still: Sequence[list[float]]) -> Row:
    """A percentile of the searches' seconds with swaps / without, per round."""
    with_swaps, without = (
        [float(np.percentile(seconds, percentile)) for seconds in side]
        for side in (swapping, still)
    )
    return Row(
        f"searches during swaps, percentile {percentile}",
        len(Mode),
        Spread.of_ratios(with_swaps, without),
        target=Target(LIMIT, at_least=False),
        detail={SWAPPING: with_swaps, STILL: without},
    )


async def _swap_and_ask(context: Context, client: httpx.AsyncClient) -> list[float]:
    swaps = asyncio.create_task(_swap(client))
    try:
        return await _ask_all(context, client)
    finally:
        swaps.cancel()
        await asyncio.gather(swaps, return_exceptions=True)


async def _swap(client: httpx.AsyncClient) -> None:
    while True:
        for version in VERSIONS:
            await promote(client, version)
            await asyncio.sleep(SWAP_PAUSE_SECONDS)


async def promote(client: httpx.AsyncClient, version: int) -> None:
    """Promote this version of both roles.

    Raises:
        httpx.HTTPError: The request failed.
    """
    for role in Role:
        response = await client.post(f"/admin/checkpoints/{role}/{version}/promote")
        if response.status_code != httpx.codes.CONFLICT:  # it serves already
            response.raise_for_status()


async def _ask_all(context: Context, client: httpx.AsyncClient) -> list[float]:
    """Every user's searches; their seconds."""

    async def user(mode: Mode) -> list[float]:
        return [await _ask(client, mode, number) for number in range(_times(context))]

    found = await asyncio.gather(*(user(mode) for mode in Mode))
    return [seconds for some in found for seconds in some]


async def _ask(client: httpx.AsyncClient, mode: Mode, number: int) -> float:
    body: dict[str, Any] = {
        "prompt": LONG_INSTRUCTIONS[number % len(LONG_INSTRUCTIONS)],
        "mode": mode,
        # Without early stop, or the two sides would compare searches of different sizes.
        "search": {"n": 2, "branch": 2, "beam": 1, "depth": 2, "votes": 1, "early_stop": False},
        "sampling": {"max_tokens": LENGTH, "seed": number},
    }
    watch = Stopwatch()
    response = await client.post("/generate", json=body)
    seconds = watch.seconds
    response.raise_for_status()
    return seconds


async def prepare(data: Path, model: Path) -> None:
    """A data folder with two random adapters of each role."""
    url = f"sqlite+aiosqlite:///{data / 'spar.db'}"
    rows = await asyncio.to_thread(_write_files, data, model, url)
    database = Database(url)
    try:
        async with database.session() as session:
            session.add_all(rows)
    finally:
        await database.close()


def _write_files(data: Path, model: Path, url: str) -> list[CheckpointRow]:
    data.mkdir(parents=True)
    upgrade(url)
    base = fingerprint(model)
    rows = []
    for role in Role:
        for version in VERSIONS:
            path = Path("checkpoints") / served_name(role, version)
            write_adapter(data / path, model, CHOICE)
            digest = seal(data / path, role, version, CheckpointKind.LORA, base)
            rows.append(_row(role, version, path, digest))
    return rows


def _row(role: Role, version: int, path: Path, digest: str) -> CheckpointRow:
    return CheckpointRow(
        role=role,
        version=version,
        status=CheckpointStatus.CANDIDATE,
        kind=CheckpointKind.LORA,
        model="random",
        path=str(path),
        digest=digest,
        parent=0,
        iteration_id=None,
        evaluation=None,
        error=None,
        created_at=datetime.now(UTC),
    )


def _times(context: Context) -> int:
    return 2 if context.quick else SEARCHES_PER_MODE


LIMIT_SECONDS = 2.0
PROMOTIONS = 10
"""In each round."""
LOOK_SECONDS = 0.02
GIVE_UP_SECONDS = 60.0


class Follow:
    """Two servers with separate engines and cores; two versions are promoted alternately."""

    async def run(self, context: Context) -> list[Row]:
        """Seconds from the request to promote until both servers answer by it."""
        context.say("starting two servers")
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
            for number in range(context.rounds * _promotions(context)):
                seconds.append(await _followed(clients, VERSIONS[number % len(VERSIONS)]))
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


def _promotions(context: Context) -> int:
    return 2 if context.quick else PROMOTIONS

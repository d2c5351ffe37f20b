"""Overload of a server: admitted and rejected requests, their latency, and the recovery."""

import asyncio
import math
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from app.config.settings import Settings
from app.model_files.resolve import resolve_model
from benchmarks.measure import Row, Spread, Stopwatch, Target
from benchmarks.servers import our_server, running

FACTOR = 10.0
WARM_SECONDS = 15.0
"""Duration of measuring the sustainable rate."""
RECOVERY_SECONDS = 10.0
"""Greatest time until the latency is back to normal."""
AS_BEFORE = 2.0
"""Normal latency: at most this multiple of the latency before the overload."""
PATIENCE = 2.0
"""Greatest latency of admitted requests, as a multiple of the time to drain a full queue."""
ANSWER_SECONDS = 300.0
ADMITTED, FULL = 200, 429
QUESTION = "Name three rivers."


@dataclass(frozen=True, slots=True)
class Reply:
    """One request's status and seconds; status 0 where the connection broke."""

    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Overloaded:
    """The results. Rates are in requests per second, times in seconds.

    bound: greatest latency allowed for an admitted request. recovery: None if it took too long.
    restarts: the number of engine restarts during the overload.
    """

    sustainable: float
    offered: float
    replies: Sequence[Reply]
    bound: float
    recovery: float | None
    restarts: int

    @property
    def admitted(self) -> list[float]:
        """The latencies of the admitted requests, in seconds."""
        return [reply.seconds for reply in self.replies if reply.status == ADMITTED]

    @property
    def refused(self) -> list[float]:
        """The latencies of the requests rejected with 429, in seconds."""
        return [reply.seconds for reply in self.replies if reply.status == FULL]

    @property
    def failed(self) -> Counter[int]:
        """The number of other replies, by status."""
        return Counter(r.status for r in self.replies if r.status not in (ADMITTED, FULL))

    def rows(self) -> list[Row]:
        """The figures with their targets."""
        detail = {
            "requests": len(self.replies),
            "admitted": len(self.admitted),
            "refused": len(self.refused),
            "failed": {str(status): number for status, number in self.failed.items()},
            "engine_restarts": self.restarts,
        }
        slowest = _one(max(self.admitted, default=math.inf))
        offered, failed = _one(self.offered), _one(sum(self.failed.values()))
        recovery = _one(RECOVERY_SECONDS if self.recovery is None else self.recovery)
        return [
            Row("sustainable rate", 1, _one(self.sustainable), "requests/s"),
            Row("offered rate", 1, offered, "requests/s", detail=detail),
            Row("failed otherwise than by 429", 1, failed, "requests", Target(0.5, False)),
            Row("engine restarts", 1, _one(self.restarts), "restarts", Target(0.5, False)),
            Row("admitted, slowest", 1, slowest, "s", Target(self.bound, False)),
            Row("admitted", 1, Spread.of(self.admitted or [0.0]), "s"),
            Row("refused", 1, Spread.of(self.refused or [0.0]), "s"),
            Row("until as quick as before", 1, recovery, "s", Target(RECOVERY_SECONDS, False)),
        ]


async def measure_overload(
    url: str | None, model: str | None, seconds: float, factor: float
) -> list[Row]:
    """Overload the server at the URL, or one that is started for it.

    Raises:
        ConfigurationError: The model cannot be used.
        RuntimeError: The server does not start.
    """
    settings = Settings()
    if url is not None:
        return (await overload(url, settings, seconds, factor=factor)).rows()
    folder = resolve_model(model)
    with TemporaryDirectory(prefix="spar-overload-") as data:
        async with running(our_server(folder, Path(data)), Path(data)) as own:
            return (await overload(own, settings, seconds, factor=factor)).rows()


async def overload(
    url: str,
    settings: Settings,
    seconds: float,
    *,
    factor: float = FACTOR,
    warm_seconds: float = WARM_SECONDS,
    max_tokens: int = 32,
) -> Overloaded:
    """Overload a running server of these settings; it must get no other requests."""
    asking = _Asking(url, max_tokens)
    async with asking.client:
        restarts = await asking.restarts()
        alone = (await asking.ask()).seconds
        sustainable = await _sustainable(asking, settings.max_running, warm_seconds)
        offered = factor * sustainable
        replies = await _offer(asking, offered, seconds)
        recovery = await _recovery(asking, AS_BEFORE * alone)
        queue = settings.max_running + settings.max_waiting
        return Overloaded(
            sustainable=sustainable,
            offered=offered,
            replies=replies,
            bound=PATIENCE * (queue / sustainable + alone),
            recovery=recovery,
            restarts=await asking.restarts() - restarts,
        )


class _Asking:
    """Sends one short greedy request repeatedly."""

    def __init__(self, url: str, max_tokens: int) -> None:
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
        self.client = httpx.AsyncClient(base_url=url, timeout=ANSWER_SECONDS, limits=limits)
        self._body = {
            "prompt": QUESTION,
            "mode": "greedy",
            "sampling": {"max_tokens": max_tokens},
        }

    async def ask(self) -> Reply:
        """Ask once."""
        watch = Stopwatch()
        try:
            status = (await self.client.post("/generate", json=self._body)).status_code
        except httpx.HTTPError:
            status = 0
        return Reply(status, watch.seconds)

    async def restarts(self) -> int:
        """The number of engine restarts.

        Raises:
            httpx.HTTPError: The request failed.
        """
        health = (await self.client.get("/healthz")).raise_for_status()
        restarts: int = health.json()["engine_restarts"]
        return restarts


async def _sustainable(asking: _Asking, at_once: int, seconds: float) -> float:
    """Answers per second to `at_once` clients, the server's limit of running requests."""
    watch, answered = Stopwatch(), 0

    async def client() -> None:
        nonlocal answered
        while watch.seconds < seconds:
            reply = await asking.ask()
            # Not `answered += await ...`: other clients change `answered` during the await.
            answered += reply.status == ADMITTED

    await asyncio.gather(*(client() for _ in range(at_once)))
    if not answered:
        raise RuntimeError("the server answered nothing before it was overloaded")
    return answered / watch.seconds


async def _offer(asking: _Asking, rate: float, seconds: float) -> list[Reply]:
    """Requests at a constant rate (open loop)."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            tasks.append(group.create_task(asking.ask()))
    return [task.result() for task in tasks]


async def _recovery(asking: _Asking, quick: float) -> float | None:
    """Seconds until a request takes at most `quick` seconds; None if that takes too long."""
    watch = Stopwatch()
    while watch.seconds < RECOVERY_SECONDS:
        reply = await asking.ask()
        if reply.status == ADMITTED and reply.seconds <= quick:
            return watch.seconds
    return None


def _one(value: float) -> Spread:
    return Spread.of([value])

"""Ten times what a server can do, for two minutes: what of it is answered, how late, and after."""

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
"""How long the sustainable rate is measured."""
RECOVERY_SECONDS = 10.0
"""A server has recovered when it is as quick as before within so many seconds."""
AS_BEFORE = 2.0
"""Recovered means: one request takes at most so many times what it took before."""
PATIENCE = 2.0
"""Admitted requests may take so many times what the full queue takes at the sustainable rate."""
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
    """What came of it. Rates in requests per second, times in seconds.

    bound: the longest that an admitted request should take. recovery: None if that took too long.
    restarts: how often the engine was started again meanwhile.
    """

    sustainable: float
    offered: float
    replies: Sequence[Reply]
    bound: float
    recovery: float | None
    restarts: int

    @property
    def admitted(self) -> list[float]:
        """The seconds that answered requests took."""
        return [reply.seconds for reply in self.replies if reply.status == ADMITTED]

    @property
    def refused(self) -> list[float]:
        """The seconds until the others were told that the queue is full."""
        return [reply.seconds for reply in self.replies if reply.status == FULL]

    @property
    def failed(self) -> Counter[int]:
        """How many ended otherwise, by status."""
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

    Raises `ConfigurationError` for a model that cannot be used, and RuntimeError for a server
    that does not start.
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
    """Overload a running server of these settings, which gets no other requests meanwhile."""
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
    """One short greedy question, over and over."""

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
        """How often the server's engine was started again. Raises `httpx.HTTPError`."""
        health = (await self.client.get("/healthz")).raise_for_status()
        restarts: int = health.json()["engine_restarts"]
        return restarts


async def _sustainable(asking: _Asking, at_once: int, seconds: float) -> float:
    """Answers per second to as many clients as the server works for at once."""
    watch, answered = Stopwatch(), 0

    async def client() -> None:
        nonlocal answered
        while watch.seconds < seconds:
            reply = await asking.ask()
            # After the wait: meanwhile others have counted too.
            answered += reply.status == ADMITTED

    await asyncio.gather(*(client() for _ in range(at_once)))
    if not answered:
        raise RuntimeError("the server answered nothing before it was overloaded")
    return answered / watch.seconds


async def _offer(asking: _Asking, rate: float, seconds: float) -> list[Reply]:
    """Requests at an even rate, whether the ones before are answered or not."""
    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        tasks = []
        for number in range(int(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.monotonic()))
            tasks.append(group.create_task(asking.ask()))
    return [task.result() for task in tasks]


async def _recovery(asking: _Asking, quick: float) -> float | None:
    """Seconds until a request is as quick again; None if that takes too long."""
    watch = Stopwatch()
    while watch.seconds < RECOVERY_SECONDS:
        reply = await asking.ask()
        if reply.status == ADMITTED and reply.seconds <= quick:
            return watch.seconds
    return None


def _one(value: float) -> Spread:
    return Spread.of([value])

"""A long queue of searches: throughput over time, and growth of the server's memory."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from statistics import median
from typing import Any
from urllib.parse import urlsplit

import httpx
import psutil

from app.errors import ConfigurationError
from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.measure import Context, Row, Spread, Target
from benchmarks.rivals.children import ending_in_order
from benchmarks.rivals.metered import SERVER, MeteredServer, metered_server

PARTS = 10


def steady_rates(ends: Sequence[float], at_once: int) -> list[float]:
    """Searches per second in about ten parts of equal count, in the order of time.

    ends: the times at which searches ended, in seconds. They were all queued together, and
    `at_once` of them run at any time. The first `at_once` to end are excluded, because they started
    together on an idle server, and so are those that end after the queue is empty, when fewer than
    `at_once` run. Searches of equal work end in waves of `at_once`, so a part is a whole number of
    waves: the rate of a fraction would depend on where it begins.

    Raises:
        ConfigurationError: There are fewer than two parts.
    """
    ordered = sorted(ends)
    steady = len(ordered) - 2 * at_once
    size = max(1, steady // PARTS // at_once) * at_once
    if steady < 2 * size:
        raise ConfigurationError(
            f"{len(ordered)} searches are too few to compare the last with the first:"
            f" at least {4 * at_once} are needed"
        )
    borders = ordered[at_once - 1 : len(ordered) - at_once : size]
    return [size / (end - begin) for begin, end in pairwise(borders)]


PAUSE_SECONDS = 1.0
_MIB = 2**20


@dataclass(frozen=True, slots=True)
class Sample:
    """Resident memory in MiB when `answered` searches had been answered.

    engine: of all processes that the server started, together; what they share counts in each.
    """

    answered: int
    server: float
    engine: float


@dataclass(slots=True)
class Memory:
    """Samples of one server, in the order of time."""

    server: psutil.Process
    answered: Callable[[], int]
    samples: list[Sample] = field(default_factory=list)

    def sample(self) -> None:
        """Take one sample."""
        engine = 0.0
        for child in self.server.children(recursive=True):
            with suppress(psutil.NoSuchProcess):  # it has ended since
                engine += _mib(child)
        self.samples.append(Sample(self.answered(), _mib(self.server), engine))

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Take a sample before the block, one every second, and one after it."""
        self.sample()
        watch = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            watch.cancel()
            await asyncio.gather(watch, return_exceptions=True)
        self.sample()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(PAUSE_SECONDS)
            self.sample()


@dataclass(frozen=True, slots=True)
class Growth:
    """Memory in MiB: before the first search, after the first some, at most, at the end."""

    start: float
    early: float
    most: float
    end: float

    @classmethod
    def of(cls, samples: Sequence[Sample], early: int, size: Callable[[Sample], float]) -> "Growth":
        """From all samples; `early` is the number of answers before the second value."""
        then = next((each for each in samples if each.answered >= early), samples[-1])
        sizes = [size(each) for each in samples]
        return cls(sizes[0], size(then), max(sizes), sizes[-1])

    @property
    def ratio(self) -> float:
        """The most / after the first some."""
        return self.most / self.early


def server_at(url: str) -> psutil.Process:
    """The child of this process with the option `--port` of a URL's port.

    Raises:
        RuntimeError: There is no such child.
    """
    port = str(urlsplit(url).port)
    for child in psutil.Process().children():
        if child.cmdline()[-2:] == ["--port", port]:
            return child
    raise RuntimeError(f"no process of this benchmark listens at {url}")


def _mib(process: psutil.Process) -> float:
    return float(process.memory_info().rss / _MIB)


AT_ONCE = 16
"""Searches the server runs at a time; with fewer, a tenth has more whole waves."""
LENGTH = 16
"""Tokens of a response, and of a critique."""
TREE = {"branch": 2, "beam": 1, "depth": 1, "votes": 1, "early_stop": False}
TOKENS = 2 * (LENGTH + LENGTH)
EARLY = 100
"""Answers after which the server's memory should no longer grow."""
SLOWEST, MOST_GROWTH = 0.95, 1.1
WARM_UP = AT_ONCE


@dataclass(frozen=True, slots=True)
class Reply:
    """A search's status (0 where the connection broke), when it ended, and how long it took."""

    status: int
    end: float
    seconds: float


class Queued:
    """Small searches of equal work, all sent at once to a new server."""

    def __init__(self, searches: int, program: Sequence[str] = SERVER) -> None:
        self._searches = searches
        self._program = program

    async def run(self, context: Context) -> list[Row]:
        """One server, one queue.

        Raises:
            ConfigurationError: There are too few searches.
        """
        if self._searches < 4 * AT_ONCE:
            raise ConfigurationError(f"at least {4 * AT_ONCE} searches are needed")
        context.say("starting the server")
        limits = ("--max-running", str(AT_ONCE), "--max-waiting", str(self._searches))
        with ending_in_order():
            async with metered_server(context.model, LENGTH, self._program, limits) as server:
                return await self._measure(context, server)

    async def _measure(self, context: Context, server: MeteredServer) -> list[Row]:
        replies: list[Reply] = []

        def answered(reply: Reply) -> None:
            replies.append(reply)

        context.say("warming up")
        await _ask_all(server.http, range(-WARM_UP, 0), lambda _: None)
        await server.begin(forced=True)
        memory = Memory(server_at(server.url), lambda: len(replies))
        context.say(f"{self._searches} searches")
        async with memory.watched():
            await _ask_all(server.http, range(self._searches), answered)
        return rows_of(replies, memory.samples)


async def _ask_all(
    http: httpx.AsyncClient, numbers: range, answered: Callable[[Reply], None]
) -> None:
    async def ask(number: int) -> None:
        began = time.perf_counter()
        try:
            status = (await http.post("/generate", json=_body(number))).status_code
        except httpx.TransportError:
            status = 0
        end = time.perf_counter()
        answered(Reply(status, end, end - began))

    await asyncio.gather(*map(ask, numbers))


def _body(number: int) -> dict[str, Any]:
    # The number makes each prompt unique, so that it is not in the prefix cache.
    instruction = LONG_INSTRUCTIONS[number % len(LONG_INSTRUCTIONS)]
    return {
        "prompt": f"{number}. {instruction}",
        "mode": "bfs",
        "search": TREE,
        "sampling": {"max_tokens": LENGTH, "seed": abs(number)},
    }


def rows_of(replies: Sequence[Reply], samples: Sequence[Sample]) -> list[Row]:
    """The rows of the replies and the samples.

    Raises:
        ConfigurationError: There are too few answers.
    """
    done = [reply for reply in replies if reply.status == httpx.codes.OK]
    queued, failed = len(replies), len(replies) - len(done)
    rates = steady_rates([reply.end for reply in done], AT_ONCE)
    usual = median(rates)
    last, parts = _one(rates[-1] / rates[0]), Spread.of(rate / usual for rate in rates)
    waits = Spread.of(reply.seconds for reply in done)
    return [
        Row("completed", queued, _one(len(done)), "searches"),
        Row("not completed", queued, _one(failed), "searches", Target(0.5, at_least=False)),
        Row("rate of the last part / of the first", AT_ONCE, last, target=Target(SLOWEST)),
        Row("rates of all parts / their median", AT_ONCE, parts, detail={"per_second": rates}),
        Row("latency, most of it queueing", queued, waits, "s"),
        *_memory_rows("server", samples, queued, lambda sample: sample.server),
        *_memory_rows("engine and checker", samples, queued, lambda sample: sample.engine),
    ]


def _memory_rows(
    name: str, samples: Sequence[Sample], queued: int, size: Callable[[Sample], float]
) -> list[Row]:
    early = min(EARLY, queued // 2)
    growth = Growth.of(samples, early, size)
    figures = {
        "before": growth.start,
        f"after {early} answers": growth.early,
        "at most": growth.most,
        "at the end": growth.end,
    }
    ratio = Row(
        f"memory of {name}, most / after {early} answers",
        queued,
        _one(growth.ratio),
        target=Target(MOST_GROWTH, at_least=False),
        detail={"mib": [[sample.answered, size(sample)] for sample in samples]},
    )
    sizes = [
        Row(f"memory of {name}, {when}", queued, _one(value), "MiB")
        for when, value in figures.items()
    ]
    return [ratio, *sizes]


def _one(value: float) -> Spread:
    return Spread.of([value])

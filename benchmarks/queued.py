"""A queue of a thousand searches: does the last go as fast as the first, and what grows?"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import httpx

from app.errors import ConfigurationError
from benchmarks.context import Context
from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.measure import Spread
from benchmarks.memory import Growth, Memory, Sample, server_at
from benchmarks.report import Row, Target
from benchmarks.rivals.children import ending_in_order
from benchmarks.rivals.metered import SERVER, MeteredServer, metered_server
from benchmarks.steady import steady_rates

AT_ONCE = 16
"""Searches the server works on at a time; the fewer, the more whole waves in a tenth of them."""
LENGTH = 16
"""Tokens of a response, and of a critique."""
TREE = {"branch": 2, "beam": 1, "depth": 1, "votes": 1, "early_stop": False}
TOKENS = 2 * (LENGTH + LENGTH)
EARLY = 100
"""Answers after which the server's memory should stay what it is."""
SLOWEST, MOST_GROWTH = 0.95, 1.1
WARM_UP = AT_ONCE


@dataclass(frozen=True, slots=True)
class Reply:
    """A search's status (0 where the connection broke), when it ended, and how long it took."""

    status: int
    end: float
    seconds: float


class Queued:
    """So many small searches of equal work, all sent at once to a server of their own."""

    def __init__(self, searches: int, program: Sequence[str] = SERVER) -> None:
        self._searches = searches
        self._program = program

    def expected_tokens(self, _: Context) -> float:
        """Verdicts are left out."""
        return self._searches * TOKENS

    async def run(self, context: Context) -> list[Row]:
        """One server, one queue. Raises `ConfigurationError` for too few searches."""
        if self._searches < 4 * AT_ONCE:
            raise ConfigurationError(f"at least {4 * AT_ONCE} searches are needed")
        context.advance("starting the server", 0)
        limits = ("--max-running", str(AT_ONCE), "--max-waiting", str(self._searches))
        with ending_in_order():
            async with metered_server(context.model, LENGTH, self._program, limits) as server:
                return await self._measure(context, server)

    async def _measure(self, context: Context, server: MeteredServer) -> list[Row]:
        replies: list[Reply] = []

        def answered(reply: Reply) -> None:
            replies.append(reply)
            context.advance("", TOKENS)

        context.advance("warming up", 0)
        await _ask_all(server.http, range(-WARM_UP, 0), lambda _: None)
        await server.begin(forced=True)
        memory = Memory(server_at(server.url), lambda: len(replies))
        context.advance(f"{self._searches} searches", 0)
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
    # The number makes each prompt one that the prefix cache does not hold.
    instruction = LONG_INSTRUCTIONS[number % len(LONG_INSTRUCTIONS)]
    return {
        "prompt": f"{number}. {instruction}",
        "mode": "bfs",
        "search": TREE,
        "sampling": {"max_tokens": LENGTH, "seed": abs(number)},
    }


def rows_of(replies: Sequence[Reply], samples: Sequence[Sample]) -> list[Row]:
    """What the answers and the samples say. Raises `ConfigurationError` for too few answers."""
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
        Row("wait, most of it for one's turn", queued, waits, "s"),
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

"""How much longer one user waits while an iteration runs in the background."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from app.errors import ConfigurationError
from benchmarks.context import Context
from benchmarks.held import HeldIteration
from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.measure import Spread, Stopwatch, alternate
from benchmarks.phases import Phase
from benchmarks.report import Row, Target
from benchmarks.servers import our_server, running

LIMIT = 1.5
ALONE, BESIDE = "alone", "beside an iteration"
ANSWER_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Question:
    """A way to ask `/generate`: how often in a row, with which body, and roughly how many tokens.

    `body` takes the number of the question, which is its seed too, and the length of a text.
    """

    name: str
    times: int
    body: Callable[[int, int], dict[str, Any]]
    tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """How long the user waited, and how many tokens were generated for it."""

    seconds: float
    tokens: int


Asked = dict[str, list[Answer]]
"""The answers to each kind of question, in the order they were asked."""


def _greedy(number: int, length: int) -> dict[str, Any]:
    return {
        "prompt": LONG_INSTRUCTIONS[number],
        "mode": "greedy",
        "sampling": {"max_tokens": length},
    }


def _search(number: int, length: int) -> dict[str, Any]:
    # Without early stop, or the two sides would compare searches of different sizes.
    return {
        "prompt": LONG_INSTRUCTIONS[number],
        "mode": "bfs",
        "search": {"branch": 3, "beam": 2, "depth": 2, "votes": 3, "early_stop": False},
        "sampling": {"max_tokens": length, "seed": number},
    }


QUESTIONS = (
    Question("greedy answers", 6, _greedy, ANSWER_TOKENS),
    Question("searches", 2, _search, 2500),
)


class Beside:
    """One user who asks one question after the other, with and without an iteration beside it.

    `pause_seconds` is how long the user waits between two questions. While it is longer than
    the server's quiet time, each question meets an engine full of background calls.
    """

    def __init__(self, phases: Sequence[Phase], pause_seconds: float) -> None:
        self._phases = phases
        self._pause_seconds = pause_seconds

    def expected_tokens(self, context: Context) -> float:
        """The user's tokens only."""
        tokens = sum(_times(question, context) * question.tokens for question in QUESTIONS)
        return 2 * len(self._phases) * context.rounds * tokens

    async def run(self, context: Context) -> list[Row]:
        """One server for all. Raises `ConfigurationError` where the worker is switched off."""
        if not context.settings.worker:
            raise ConfigurationError("SPAR_WORKER is off: nothing would run in the background")
        context.advance("starting the server", 0)
        rows = []
        with TemporaryDirectory() as name:
            folder = Path(name)
            async with (
                running(our_server(context.model, folder / "data"), folder) as url,
                httpx.AsyncClient(base_url=url, timeout=600) as client,
            ):
                user = _User(context, client, self._pause_seconds)
                await user.ask_everything("warming up")
                for phase in self._phases:
                    rows += await _compare(context, client, user, phase)
        return rows


class _User:
    """Asks all kinds of questions."""

    def __init__(self, context: Context, client: httpx.AsyncClient, pause_seconds: float) -> None:
        self._context = context
        self._client = client
        self._pause_seconds = pause_seconds

    async def ask_everything(self, label: str) -> Asked:
        """Ask every question, one after the other."""
        asked: Asked = {}
        for question in QUESTIONS:
            self._context.advance(f"{label}: {question.name}", 0)
            numbers = range(_times(question, self._context))
            asked[question.name] = [await self._ask(question, number) for number in numbers]
        return asked

    async def _ask(self, question: Question, number: int) -> Answer:
        await asyncio.sleep(self._pause_seconds)
        body = question.body(number, _length(self._context))
        watch = Stopwatch()
        response = await self._client.post("/generate", json=body)
        seconds = watch.seconds
        response.raise_for_status()
        self._context.advance("", question.tokens)
        return Answer(seconds, response.json()["usage"]["completion_tokens"])


async def _compare(
    context: Context, client: httpx.AsyncClient, user: _User, phase: Phase
) -> list[Row]:
    iteration = HeldIteration(client, phase)

    async def alone() -> Asked:
        return await user.ask_everything(f"{phase}, {ALONE}")

    async def beside() -> Asked:
        context.advance(f"{phase}: waiting for the iteration", 0)
        async with iteration.going_on():
            return await user.ask_everything(f"{phase}, {BESIDE}")

    runs = await alternate({ALONE: alone, BESIDE: beside}, context.rounds)
    return [compared(phase, question.name, runs[ALONE], runs[BESIDE]) for question in QUESTIONS]


def compared(phase: Phase, question: str, alone: Sequence[Asked], beside: Sequence[Asked]) -> Row:
    """Per round, the median wait for one kind of question beside an iteration / without it."""
    sides = {
        name: [asked[question] for asked in rounds]
        for name, rounds in ((ALONE, alone), (BESIDE, beside))
    }
    medians = {
        name: [median(answer.seconds for answer in answers) for answers in rounds]
        for name, rounds in sides.items()
    }
    return Row(
        f"wait for {question}, {phase}",
        1,
        Spread.of_ratios(medians[BESIDE], medians[ALONE]),
        target=Target(LIMIT, at_least=False),
        detail={
            name: {
                "seconds": [[answer.seconds for answer in answers] for answers in rounds],
                "tokens": [[answer.tokens for answer in answers] for answers in rounds],
            }
            for name, rounds in sides.items()
        },
    )


def _times(question: Question, context: Context) -> int:
    return min(question.times, 2) if context.quick else question.times


def _length(context: Context) -> int:
    return ANSWER_TOKENS // 4 if context.quick else ANSWER_TOKENS

"""Latency of one user's requests while an iteration runs in the background."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from itertools import count, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import httpx

from app.domain.checkpoint import Role
from app.domain.iteration import IterationKind, Stage, Status
from app.errors import ConfigurationError
from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.measure import Context, Row, Spread, Stopwatch, Target, alternate
from benchmarks.servers import our_server, running

PRESET = "small"
"""Its values are kept where they do not end the phase: it has the most calls in flight of the
presets that one machine runs."""
TRAINED = Role.ACTOR
PROMPTS = 600
CONVERSATIONS = 32

_NEVER_OVER = 1_000_000
_NO_EVALUATION = {"prompts": 1, "judged": 0}
_IMPORTED = {"prompts": PROMPTS, "sources": ["imported"]}


class Phase(StrEnum):
    """A phase of the iteration; the first three call the model, the last one trains."""

    RESPOND = "respond"
    JUDGE = "judge"
    REFINE = "refine"
    TRAIN = "train"

    @property
    def stage(self) -> Stage:
        """The stage of the iteration."""
        return Stage(self.value)

    @property
    def body(self) -> dict[str, Any]:
        """The body of `POST /admin/iterations`."""
        kind = IterationKind.BOOTSTRAP if self is Phase.TRAIN else IterationKind.SELF_PLAY
        overrides = _OVERRIDES[self] | {"evaluation": _NO_EVALUATION}
        return {"preset": PRESET, "promote": "never", "kind": kind, "overrides": overrides}


# The stages before the wanted one are short: few and short responses.
_OVERRIDES: Mapping[Phase, dict[str, Any]] = {
    Phase.RESPOND: {"data": _IMPORTED},
    Phase.JUDGE: {"data": _IMPORTED | {"responses": 1, "max_tokens": 8, "votes": 5}},
    # All of five votes are hardly ever yes, so nearly every response is repaired, and to the full
    # depth.
    Phase.REFINE: {
        "data": _IMPORTED
        | {"prompts": 120, "responses": 1, "max_tokens": 32, "accept_threshold": 0.99}
        | {"votes": 5, "beam": 2, "depth": 3}
    },
    # The rate is too low to change the weights, so the loss stays finite for any duration.
    Phase.TRAIN: {
        "roles": [TRAINED],
        "actor": {"max_steps": _NEVER_OVER, "learning_rate": 1e-9},
    },
}


def prompts() -> list[dict[str, Any]]:
    """The body of `POST /admin/prompts`: no constraints, so only the votes judge."""
    texts = (
        f"{instruction} Use about {words} words."
        for words in count(100, 10)
        for instruction in LONG_INSTRUCTIONS
    )
    return [{"prompt": text} for text in islice(texts, PROMPTS)]


def conversations() -> list[dict[str, Any]]:
    """The body of `POST /admin/conversations`: about 150 trained words in each."""
    return [
        {
            "role": TRAINED,
            "messages": [
                {"role": "user", "content": instruction},
                {"role": "assistant", "content": " ".join(_rotated(number)[:12])},
            ],
        }
        for number, instruction in enumerate(LONG_INSTRUCTIONS[:CONVERSATIONS])
    ]


def _rotated(number: int) -> tuple[str, ...]:
    return LONG_INSTRUCTIONS[number:] + LONG_INSTRUCTIONS[:number]


LONGEST_WAIT_SECONDS = 600.0
SETTLE_SECONDS = 3.0
"""From the phase's beginning until as many calls are under way as are let in, and from its end
until none is."""


class HeldIteration:
    """One iteration in one phase. It is queued once, and then cancelled and resumed.

    Raises:
        RuntimeError: The iteration ends, leaves the phase or does not reach it.
        httpx.HTTPError: A request failed.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        phase: Phase,
        *,
        settle_seconds: float = SETTLE_SECONDS,
        poll_seconds: float = 0.5,
    ) -> None:
        self._client = client
        self._phase = phase
        self._settle_seconds = settle_seconds
        self._poll_seconds = poll_seconds
        self._id: str | None = None

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """Run the iteration in its phase for the whole block, then cancel it."""
        steps = await self._go_on()
        try:
            await self._until(lambda: self._under_way(steps))
            await asyncio.sleep(self._settle_seconds)
            yield
            if not _in_phase(await self._iteration(), self._phase):
                raise RuntimeError(f"{self._phase} was over too early; measure fewer rounds")
        finally:
            await self._stand_still()

    async def _go_on(self) -> Any:
        """Queue or resume; gives the training steps of before."""
        if self._id is None:
            await self._post("/admin/prompts", {"prompts": prompts()})
            await self._post("/admin/conversations", {"conversations": conversations()})
            self._id = (await self._post("/admin/iterations", self._phase.body))["id"]
            return []
        steps = await self._steps()
        await self._post(f"{self._path}/resume")
        return steps

    async def _stand_still(self) -> None:
        """Cancel, and wait until the worker has stopped and its last calls are aborted."""
        response = await self._client.post(f"{self._path}/cancel")
        if response.status_code != httpx.codes.CONFLICT:  # it has ended by itself
            response.raise_for_status()
        await self._until(self._has_ended)
        await asyncio.sleep(self._settle_seconds)

    async def _under_way(self, steps_before: Any) -> bool:
        """Whether it is in the phase; a training must also have made a new step."""
        iteration = await self._iteration()
        if _status(iteration).final:
            raise RuntimeError(f"the iteration is {iteration['status']}: {iteration['error']}")
        if not _in_phase(iteration, self._phase):
            return False
        return self._phase is not Phase.TRAIN or bool(await self._steps() != steps_before)

    async def _has_ended(self) -> bool:
        return _status(await self._iteration()).final

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                while not await condition():  # noqa: ASYNC110 - the server's event, not ours
                    await asyncio.sleep(self._poll_seconds)
        except TimeoutError as error:
            raise RuntimeError(f"{self._phase}: nothing for {LONGEST_WAIT_SECONDS} s") from error

    async def _iteration(self) -> dict[str, Any]:
        return await self._get(self._path)

    async def _steps(self) -> Any:
        """The training's steps so far; one that is done again has another time."""
        return (await self._get(f"{self._path}/steps?role={TRAINED}"))["steps"]

    async def _get(self, path: str) -> dict[str, Any]:
        return _content(await self._client.get(path))

    async def _post(self, path: str, body: Any = None) -> dict[str, Any]:
        return _content(await self._client.post(path, json=body))

    @property
    def _path(self) -> str:
        return f"/admin/iterations/{self._id}"


def _status(iteration: dict[str, Any]) -> Status:
    return Status(str(iteration["status"]))


def _in_phase(iteration: dict[str, Any], phase: Phase) -> bool:
    """Whether an iteration as `/admin/iterations/{id}` gives it is at work in a phase."""
    stages = {stage["name"]: stage["status"] for stage in iteration["stages"]}
    states = {str(iteration["status"]), str(stages[phase.stage])}
    return states == {Status.RUNNING} and str(iteration["stage"]) == phase.stage


def _content(response: httpx.Response) -> dict[str, Any]:
    response.raise_for_status()
    content: dict[str, Any] = response.json()
    return content


LIMIT = 1.5
ALONE, BESIDE = "alone", "beside an iteration"
ANSWER_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Question:
    """A kind of request to `/generate`: repetitions, body, and approximate number of tokens.

    `body` takes the number of the question, which is its seed too, and the length of a text.
    """

    name: str
    times: int
    body: Callable[[int, int], dict[str, Any]]
    tokens: int


@dataclass(frozen=True, slots=True)
class Answer:
    """The latency of a request, and its generated tokens."""

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
    """One user's sequential requests, with and without an iteration in the background.

    `pause_seconds` is how long the user waits between two questions. While it is longer than
    the server's quiet time, each question meets an engine full of background calls.
    """

    def __init__(self, phases: Sequence[Phase], pause_seconds: float) -> None:
        self._phases = phases
        self._pause_seconds = pause_seconds

    async def run(self, context: Context) -> list[Row]:
        """One server for all.

        Raises:
            ConfigurationError: The worker is disabled.
        """
        if not context.settings.worker:
            raise ConfigurationError("SPAR_WORKER is off: nothing would run in the background")
        context.say("starting the server")
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
            self._context.say(f"{label}: {question.name}")
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
        return Answer(seconds, response.json()["usage"]["completion_tokens"])


async def _compare(
    context: Context, client: httpx.AsyncClient, user: _User, phase: Phase
) -> list[Row]:
    iteration = HeldIteration(client, phase)

    async def alone() -> Asked:
        return await user.ask_everything(f"{phase}, {ALONE}")

    async def beside() -> Asked:
        context.say(f"{phase}: waiting for the iteration")
        async with iteration.going_on():
            return await user.ask_everything(f"{phase}, {BESIDE}")

    runs = await alternate({ALONE: alone, BESIDE: beside}, context.rounds)
    return [compared(phase, question.name, runs[ALONE], runs[BESIDE]) for question in QUESTIONS]


def compared(phase: Phase, question: str, alone: Sequence[Asked], beside: Sequence[Asked]) -> Row:
    """Per round, the median latency of one kind of request with an iteration / without it."""
    sides = {
        name: [asked[question] for asked in rounds]
        for name, rounds in ((ALONE, alone), (BESIDE, beside))
    }
    medians = {
        name: [median(answer.seconds for answer in answers) for answers in rounds]
        for name, rounds in sides.items()
    }
    return Row(
        f"latency of {question}, {phase}",
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

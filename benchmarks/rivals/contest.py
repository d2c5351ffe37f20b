"""One server and all contenders, of which one runs at a time."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.measure import Context
from benchmarks.rivals.children import Client, client, python_of
from benchmarks.rivals.clients.protocol import Answer, Job, Question, Result
from benchmarks.rivals.contenders import Contender
from benchmarks.rivals.metered import SERVER, MeteredServer, metered_server
from benchmarks.rivals.server import Tally

RESPONSE_TOKENS, JUDGMENT_TOKENS = 128, 64
WARM_UP_TOKENS = 4
SLACK = 0.1
"""Share of its tokens that a forced run may lack."""


@dataclass(frozen=True, slots=True)
class Run:
    """One contender's answers to a list of questions."""

    seconds: float
    answers: list[Answer]
    tally: Tally

    @property
    def seconds_per_answer(self) -> float:
        """The median wait from a question to its answer."""
        return median(answer.seconds for answer in self.answers)

    @property
    def rate(self) -> float:
        """Generated tokens per second, verdicts left out."""
        return self.tally.completion_tokens / self.seconds

    @property
    def detail(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            "seconds": self.seconds,
            "seconds_of_answers": [answer.seconds for answer in self.answers],
            "completion_tokens": self.tally.completion_tokens,
            "verdicts": self.tally.verdicts,
            "requests": self.tally.completions,
            "prompt_tokens": self.tally.prompt_tokens,
            "cached_tokens": self.tally.cached_tokens,
        }


class Contest:
    """The server and the contenders' processes."""

    def __init__(self, context: Context, server: MeteredServer) -> None:
        self._context = context
        self._server = server
        self._clients: dict[str, Client] = {}

    def enter(self, contender: Contender, process: Client) -> None:
        """Add a contender's process."""
        self._clients[contender.name] = process

    async def forced(self, contender: Contender, questions: Sequence[Question], load: int) -> Run:
        """Answers of full length.

        Raises:
            RuntimeError: The tokens differ from the expected number by more than `SLACK`. Some are
                missing where a contender judges equal texts only once.
        """
        run = await self._run(contender, questions, load, forced=True)
        expected = len(questions) * contender.tokens(*lengths(self._context))
        if abs(run.tally.completion_tokens - expected) > SLACK * expected:
            raise RuntimeError(
                f"{contender.name} took {run.tally.completion_tokens} tokens for work of"
                f" {expected}: its work was not that of the others"
            )
        return run

    async def free(self, contender: Contender, questions: Sequence[Question], load: int) -> Run:
        """Answers as they come."""
        return await self._run(contender, questions, load, forced=False)

    async def warm_up(self, contender: Contender) -> None:
        """One answer with the shortest of texts, so that first-use costs are not measured."""
        self._context.say(f"warming up {contender.name}")
        await self._server.begin(forced=True, limit=WARM_UP_TOKENS)
        await self._do(contender, [Question("Be brief.", "Name a colour.")], 1, forced=True)

    async def raw(self, at_once: int) -> Run:
        """The bare engine: `at_once` independent responses at once, without HTTP."""
        self._context.say(f"the bare engine, {at_once} at once")
        await self._server.begin(forced=True)
        tokens, _ = lengths(self._context)
        texts = [f"{number}. {LONG_INSTRUCTIONS[number % 32]}" for number in range(at_once)]
        seconds = await self._server.raw(texts, tokens)
        return Run(seconds, [], await self._server.tally())

    async def _run(
        self, contender: Contender, questions: Sequence[Question], load: int, *, forced: bool
    ) -> Run:
        self._context.say(f"{contender.name}, {load} at once")
        await self._server.begin(forced=forced)
        result = await self._do(contender, questions, load, forced=forced)
        return Run(result.seconds, result.answers, await self._server.tally())

    async def _do(
        self, contender: Contender, questions: Sequence[Question], load: int, *, forced: bool
    ) -> Result:
        options, limits = dict(contender.options), lengths(self._context)
        job = Job(self._server.url, load, forced, *limits, list(questions), options)
        return await self._clients[contender.name].do(job)


@asynccontextmanager
async def opened(
    context: Context, contenders: Sequence[Contender], server: Sequence[str] = SERVER
) -> AsyncIterator[Contest]:
    """The server and the contenders after a warm-up.

    Raises:
        ConfigurationError: A contender's environment cannot be built.
        RuntimeError: The server or a contender does not start.
    """
    pythons = {}
    for peer in sorted({each.peer for each in contenders if each.peer}):
        context.say(f"installing {peer}")
        pythons[peer] = await python_of(peer)
    context.say("starting the server")
    _, critique_tokens = lengths(context)
    async with AsyncExitStack() as stack:
        started = await stack.enter_async_context(
            metered_server(context.model, critique_tokens, server)
        )
        contest = Contest(context, started)
        for number, each in enumerate(contenders):
            logs = started.folder / str(number)
            logs.mkdir()
            python = pythons[each.peer] if each.peer else None
            contest.enter(
                each, await stack.enter_async_context(client(each.name, python, each.module, logs))
            )
            await contest.warm_up(each)
        yield contest


def lengths(context: Context) -> tuple[int, int]:
    """Tokens of a response and of a judgment."""
    shorter = 4 if context.quick else 1
    return RESPONSE_TOKENS // shorter, JUDGMENT_TOKENS // shorter

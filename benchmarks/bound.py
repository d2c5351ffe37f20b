"""How close a search comes to its bound: the same token work, sent as early as possible."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING

from app.config.settings import Settings
from app.domain.prompt import Prompt
from app.domain.search import Budget, Mode, Sampling, SearchOptions
from app.engine.base import Call, Completion, Engine, EngineWrapper, OnDelta, ignore_delta
from app.engine.rendering import Renderer
from app.roles.votes import NO
from app.search.base import SearchRequest
from app.search.run import run_search
from benchmarks.forcing import forced
from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.local import Local, started
from benchmarks.measure import Context, Row, Spread, Stopwatch, Target, Work, alternate

_IMPOSSIBLE = -1000.0


@dataclass(eq=False, slots=True)
class Recorded:
    """One call that was made, and the calls that waited for its result.

    `options` are those of a score; empty for a completion.
    """

    call: Call
    options: tuple[str, ...] = ()
    then: list["Recorded"] = field(default_factory=list)


_before: ContextVar[Recorded | None] = ContextVar("before", default=None)


class ForcingEngine(EngineWrapper):
    """Makes every call at full length, returns the verdict no, and records the dependencies.

    A call depends on the call made before it in the same task or in the task that started that
    one. Calls without such a predecessor that start before any other call has ended form a step:
    they waited for everything before them. One search per engine.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._finished = 0
        self._finished_at_step = -1
        self.steps: list[list[Recorded]] = []
        self.cached_tokens = 0

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """Exactly `max_tokens` tokens; see `forced`."""
        call = forced(call)
        recorded = self._record(Recorded(call))
        completion = await self._engine.complete(call, on_delta)
        self.cached_tokens += completion.cached_tokens
        self._finish(recorded)
        return completion

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """A certain no, regardless of the engine's score."""
        recorded = self._record(Recorded(call, tuple(options)))
        await self._engine.score(call, options, on_delta)
        self._finish(recorded)
        return {option: 0.0 if option in NO else _IMPOSSIBLE for option in options}

    def _record(self, recorded: Recorded) -> Recorded:
        before = _before.get()
        if before is not None:
            before.then.append(recorded)
            return recorded
        if self._finished > self._finished_at_step:
            self._finished_at_step = self._finished
            self.steps.append([])
        self.steps[-1].append(recorded)
        return recorded

    def _finish(self, recorded: Recorded) -> None:
        self._finished += 1
        _before.set(recorded)


if TYPE_CHECKING:
    from vllm import SamplingParams
    from vllm.v1.engine.async_llm import AsyncLLM


@dataclass(frozen=True, slots=True)
class Request:
    """A call as vLLM takes it, and those that may be sent when it has ended."""

    prompt: list[int]
    params: "SamplingParams"
    then: list["Request"]


Steps = list[list[Request]]


@dataclass(slots=True)
class Tally:
    """Tokens generated, and the completions' prompt tokens found in the prefix cache."""

    tokens: int = 0
    cached_tokens: int = 0


async def as_requests(steps: Sequence[Sequence[Recorded]], renderer: Renderer) -> Steps:
    """Render what was recorded, before anything is timed."""
    return [[await _as_request(recorded, renderer) for recorded in step] for step in steps]


class Replayer:
    """Sends requests to vLLM, and counts."""

    def __init__(self, llm: "AsyncLLM") -> None:
        self._llm = llm
        self._numbers = count(1)
        self.tally = Tally()

    async def replay(self, steps: Steps) -> None:
        """Step after step; within a step, every request as soon as the one before it has ended."""
        for step in steps:
            await asyncio.gather(*(self._follow(request) for request in step))

    async def _follow(self, request: Request) -> None:
        await self._send(request)
        await asyncio.gather(*(self._follow(later) for later in request.then))

    async def _send(self, request: Request) -> None:
        from vllm.inputs.engine import tokens_input

        prompt = tokens_input(request.prompt)
        request_id = f"replay-{next(self._numbers)}"
        async for output in self._llm.generate(prompt, request.params, request_id):
            self.tally.tokens += len(output.outputs[0].token_ids)
            if request.params.logprob_token_ids is None:
                self.tally.cached_tokens += output.num_cached_tokens or 0


async def _as_request(recorded: Recorded, renderer: Renderer) -> Request:
    prompt = await renderer.render(recorded.call.messages)
    then = [await _as_request(later, renderer) for later in recorded.then]
    return Request(prompt, _params(recorded, renderer), then)


def _params(recorded: Recorded, renderer: Renderer) -> "SamplingParams":
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    if recorded.options:
        tokens = {renderer.single_token(option) for option in recorded.options}
        return SamplingParams(
            temperature=0,
            max_tokens=1,
            logprob_token_ids=sorted(token for token in tokens if token is not None),
            output_kind=RequestOutputKind.FINAL_ONLY,
        )
    sampling = recorded.call.sampling
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        max_tokens=sampling.max_tokens,
        seed=sampling.seed,
        ignore_eos=True,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )


LOADS = (1, 8)
RESPONSE_TOKENS, CRITIQUE_TOKENS = 128, 64
TREE = SearchOptions(branch=3, beam=2, depth=3, votes=5, early_stop=False)
"""SPaR's search in full."""


class Bound:
    """One search, and eight at once, with every verdict forced to no: full work, full trees."""

    async def run(self, context: Context) -> list[Row]:
        """Both ways in this process, on one engine."""
        context.say("starting the engine")
        async with started(context.settings, context.model) as local:
            await _warm_up(local)
            return [await _compare(context, local, load) for load in context.loads(*LOADS)]


class _Pair:
    """The same work by searching and by replaying the search recorded last."""

    def __init__(self, context: Context, local: Local, load: int) -> None:
        self._context = context
        self._local = local
        self._load = load
        self._renderer = Renderer(local.llm.get_tokenizer(), context.settings.context_tokens)
        self._plans: list[Steps] = []

    async def search(self) -> Work:
        """All searches at once, through the driver, the roles and our engine."""
        self._context.say(f"searching, {self._load} at once")
        await self._local.forget()
        engines = [ForcingEngine(self._local.engine) for _ in range(self._load)]
        watch = Stopwatch()
        tokens = await asyncio.gather(
            *(self._search(engine, seed) for seed, engine in enumerate(engines))
        )
        seconds = watch.seconds
        self._plans = [await as_requests(engine.steps, self._renderer) for engine in engines]
        return Work(seconds, sum(tokens), sum(engine.cached_tokens for engine in engines))

    async def replay(self) -> Work:
        """All recorded searches at once, straight to vLLM."""
        self._context.say(f"replaying, {self._load} at once")
        await self._local.forget()
        replayer = Replayer(self._local.llm)
        watch = Stopwatch()
        await asyncio.gather(*(replayer.replay(plan) for plan in self._plans))
        seconds = watch.seconds
        return Work(seconds, replayer.tally.tokens, replayer.tally.cached_tokens)

    async def _search(self, engine: ForcingEngine, seed: int) -> int:
        shorter = _shorter(self._context)
        roles = self._local.roles(engine, CRITIQUE_TOKENS // shorter)
        prompt = Prompt.from_text(LONG_INSTRUCTIONS[seed])
        tokens = RESPONSE_TOKENS // shorter
        request = bfs_request(self._context.settings, prompt, seed, tokens, TREE)
        return (await run_search(request, roles)).usage.completion_tokens


async def _compare(context: Context, local: Local, load: int) -> Row:
    pair = _Pair(context, local, load)
    works = await alternate({"search": pair.search, "bound": pair.replay}, context.rounds)
    searched, replayed = works["search"], works["bound"]
    if {work.tokens for work in searched} != {work.tokens for work in replayed}:
        raise RuntimeError(f"search and bound generated different numbers of tokens: {works}")
    return Row(
        "time, bound / search",
        load,
        Spread.of_ratios([work.seconds for work in replayed], [work.seconds for work in searched]),
        target=Target(0.95),
        detail={
            name: {
                "seconds": [work.seconds for work in found],
                "tokens": [work.tokens for work in found],
                "cached_prompt_tokens": [work.cached_tokens for work in found],
            }
            for name, found in works.items()
        },
    )


async def _warm_up(local: Local) -> None:
    """A short search, to exclude first-use costs."""
    roles = local.roles(ForcingEngine(local.engine), 4)
    prompt = Prompt.from_text(LONG_INSTRUCTIONS[-1])
    await run_search(bfs_request(local.settings, prompt, 0, 8, TREE), roles)


def _shorter(context: Context) -> int:
    return 4 if context.quick else 1


def bfs_request(
    settings: Settings, prompt: Prompt, seed: int, max_tokens: int, tree: SearchOptions
) -> SearchRequest:
    """A breadth-first search without limits, as if it arrived now."""
    return SearchRequest(
        id=f"search-{seed}",
        mode=Mode.BFS,
        prompt=prompt,
        options=tree,
        budget=Budget(),
        sampling=Sampling(
            settings.response_temperature, settings.response_top_p, max_tokens, seed=seed
        ),
        started=time.monotonic(),
    )

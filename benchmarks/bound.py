"""How close a search comes to its bound: the same token work, sent as early as possible."""

import asyncio

from app.domain.prompt import Prompt
from app.engine.rendering import Renderer
from app.search.run import run_search
from benchmarks.context import Context
from benchmarks.forcing import ForcingEngine
from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.local import Local, started
from benchmarks.measure import Spread, Stopwatch, Work, alternate
from benchmarks.replay import Replayer, Steps, as_requests
from benchmarks.report import Row, Target
from benchmarks.searching import bfs_request

LOADS = (1, 8)
RESPONSE_TOKENS, CRITIQUE_TOKENS = 128, 64
NODES, VOTES = 15, 5


class Bound:
    """One search, and eight at once, with every verdict forced to no: full work, full trees."""

    def expected_tokens(self, context: Context) -> float:
        """Search and replay of every round."""
        return 2 * context.rounds * sum(context.loads(*LOADS)) * _tree_tokens(context)

    async def run(self, context: Context) -> list[Row]:
        """Both ways in this process, on one engine."""
        context.advance("starting the engine", 0)
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
        self._context.advance(f"searching, {self._load} at once", 0)
        await self._local.forget()
        engines = [ForcingEngine(self._local.engine) for _ in range(self._load)]
        watch = Stopwatch()
        tokens = await asyncio.gather(
            *(self._search(engine, seed) for seed, engine in enumerate(engines))
        )
        seconds = watch.seconds
        self._plans = [await as_requests(engine.steps, self._renderer) for engine in engines]
        self._context.advance("", sum(tokens))
        return Work(seconds, sum(tokens), sum(engine.cached_tokens for engine in engines))

    async def replay(self) -> Work:
        """All recorded searches at once, straight to vLLM."""
        self._context.advance(f"replaying, {self._load} at once", 0)
        await self._local.forget()
        replayer = Replayer(self._local.llm)
        watch = Stopwatch()
        await asyncio.gather(*(replayer.replay(plan) for plan in self._plans))
        seconds = watch.seconds
        self._context.advance("", replayer.tally.tokens)
        return Work(seconds, replayer.tally.tokens, replayer.tally.cached_tokens)

    async def _search(self, engine: ForcingEngine, seed: int) -> int:
        shorter = _shorter(self._context)
        roles = self._local.roles(engine, CRITIQUE_TOKENS // shorter)
        request = bfs_request(
            self._context.settings,
            Prompt.from_text(LONG_INSTRUCTIONS[seed]),
            seed,
            early_stop=False,
            max_tokens=RESPONSE_TOKENS // shorter,
        )
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
    """A short search, so that neither side pays for first times."""
    roles = local.roles(ForcingEngine(local.engine), 4)
    prompt = Prompt.from_text(LONG_INSTRUCTIONS[-1])
    await run_search(bfs_request(local.settings, prompt, 0, early_stop=False, max_tokens=8), roles)


def _shorter(context: Context) -> int:
    return 4 if context.quick else 1


def _tree_tokens(context: Context) -> float:
    node = RESPONSE_TOKENS + VOTES * CRITIQUE_TOKENS
    return NODES * (node / _shorter(context) + VOTES)

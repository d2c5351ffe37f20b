"""Prompts per hour of the worker's stages, against the same work in stages of a reference."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.iteration import Stage
from app.serving.admission import QUIET_SECONDS
from benchmarks.context import Context
from benchmarks.measure import Spread, alternate
from benchmarks.report import Row, Target
from benchmarks.rivals.children import ending_in_order
from benchmarks.rivals.contest import SLACK, WARM_UP_TOKENS
from benchmarks.rivals.metered import SERVER, MeteredServer, metered_server
from benchmarks.rivals.metering import Tally
from benchmarks.staged_load import STAGES, Load, Stages
from benchmarks.staged_reference import play_staged
from benchmarks.staged_worker import Worker, worker_at

OURS, REFERENCE = "worker", "staged"
LEAST = 3.0
"""Times the reference's prompts per hour."""

Play = Callable[[Load, Stages], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Played:
    """One side's run: the seconds of its stages, and its tokens, verdicts left out."""

    stages: Mapping[Stage, float]
    tokens: int
    tally: Tally

    @property
    def seconds(self) -> float:
        """Of all stages."""
        return sum(self.stages.values())

    @property
    def detail(self) -> dict[str, Any]:
        """For the JSON file."""
        return {
            "seconds": dict(self.stages),
            "tokens": self.tokens,
            "requests": self.tally.completions,
            "hit_rate": self.tally.hit_rate,
        }


class Staged:
    """Responses, judgments and repairs of so many prompts; what is trained on them is left out."""

    def __init__(self, prompts: int, program: Sequence[str] = SERVER) -> None:
        self._prompts = prompts
        self._program = program

    def expected_tokens(self, context: Context) -> float:
        """Both sides in every round."""
        return 2 * context.rounds * Load.of(self._prompts, quick=context.quick).tokens

    async def run(self, context: Context) -> list[Row]:
        """One server for both sides. Raises RuntimeError when their work is not the same."""
        load = Load.of(self._prompts, quick=context.quick)
        context.advance("starting the server", 0)
        with ending_in_order():
            async with (
                metered_server(context.model, load.critique_tokens, self._program) as server,
                worker_at(server, context.settings, context.model, load.critique_tokens) as worker,
            ):
                match_up = _MatchUp(context, server, worker, load)
                await match_up.warm_up()
                runs = await alternate(
                    {OURS: match_up.ours, REFERENCE: match_up.reference}, context.rounds
                )
        return rows_of(runs, self._prompts)


class _MatchUp:
    """Both sides on one server."""

    def __init__(self, context: Context, server: MeteredServer, worker: Worker, load: Load) -> None:
        self._context = context
        self._server = server
        self._worker = worker
        self._load = load

    async def warm_up(self) -> None:
        """One prompt each, with the shortest of texts, so that nobody pays for first times."""
        one = Load(self._load.prompts[-1:], self._load.data, self._load.critique_tokens)
        for play in (self._worker.play, self._staged):
            await self._server.begin(forced=True, limit=WARM_UP_TOKENS)
            await play(one, Stages(lambda stage: self._context.advance(f"warming up: {stage}", 0)))

    async def ours(self) -> Played:
        """The worker's stages."""
        return await self._play(OURS, self._worker.play)

    async def reference(self) -> Played:
        """The reference's stages."""
        return await self._play(REFERENCE, self._staged)

    async def _staged(self, load: Load, stages: Stages) -> None:
        await play_staged(self._server.http, load, stages)

    async def _play(self, name: str, play: Play) -> Played:
        # Only a server that nobody has asked for a while lets the worker use it all.
        self._context.advance(f"{name}: silence", 0)
        await asyncio.sleep(QUIET_SECONDS)
        await self._server.begin(forced=True)
        verdicts = self._worker.engine.verdicts
        stages = Stages(lambda stage: self._context.advance(f"{name}: {stage}", 0))
        await play(self._load, stages)
        tally = await self._server.tally()
        verdicts = self._worker.engine.verdicts - verdicts
        # Over HTTP the worker's verdicts are completions of one token.
        tokens = tally.completion_tokens - verdicts
        if abs(tokens - self._load.tokens) > SLACK * self._load.tokens:
            raise RuntimeError(
                f"{name} took {tokens} tokens for work of {self._load.tokens}:"
                " its work was not that of the other side"
            )
        self._context.advance("", self._load.tokens)
        return Played(stages.seconds, tokens, tally)


def rows_of(runs: Mapping[str, Sequence[Played]], prompts: int) -> list[Row]:
    """The reference's time / ours, which is our prompts per hour / theirs; then each stage."""
    ours, theirs = runs[OURS], runs[REFERENCE]
    detail = {name: [run.detail for run in found] for name, found in runs.items()}
    total = Spread.of_ratios([run.seconds for run in theirs], [run.seconds for run in ours])
    tokens = Spread.of_ratios([run.tokens for run in ours], [run.tokens for run in theirs])
    return [
        Row(
            f"prompts per hour, {OURS} / {REFERENCE}",
            prompts,
            total,
            target=Target(LEAST),
            detail=detail,
        ),
        Row(f"tokens, {OURS} / {REFERENCE}", prompts, tokens),
        *(
            Row(f"{stage}, {name}", prompts, Spread.of(run.stages[stage] for run in found), "s")
            for stage in STAGES
            for name, found in runs.items()
        ),
    ]

"""Prompts per hour of the worker's stages, against the same work in stages of a reference."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import httpx

from app.config.settings import Settings
from app.constraints.checker import Checker
from app.db.checkpoints import CheckpointRepository
from app.db.iterations import IterationRepository, NewIteration, StoredIteration
from app.db.leases import Lease, acquire
from app.db.session import Database
from app.db.upgrade import upgrade
from app.domain.iteration import PRESETS, DataOptions, IterationOptions, Stage, Status
from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.engine.base import Call, CallContext, Engine, EngineWrapper, OnDelta, ignore_delta
from app.engine.remote import RemoteEngine
from app.roles.judge import Judge, JudgeOptions
from app.roles.votes import NO
from app.search.run import Roles
from app.serving.admission import QUIET_SECONDS
from app.serving.roles import make_roles
from benchmarks.beside import prompts as long_prompts
from benchmarks.measure import Context, Row, Spread, Stopwatch, Target, alternate
from benchmarks.rivals.children import ending_in_order
from benchmarks.rivals.clients.protocol import Job
from benchmarks.rivals.clients.sequential import Search, Shape
from benchmarks.rivals.contest import SLACK, WARM_UP_TOKENS
from benchmarks.rivals.metered import SERVER, MeteredServer, metered_server
from benchmarks.rivals.server import Tally
from worker.context import IterationContext, Paths
from worker.loop import LEASE
from worker.main import CALL_SECONDS, CONNECTIONS
from worker.retry import RetryingEngine
from worker.stages.judge import judge
from worker.stages.refine import refine
from worker.stages.respond import respond

STAGES = (Stage.RESPOND, Stage.JUDGE, Stage.REFINE)
CRITIQUE_TOKENS = 24
# One response to three nodes of the tree, as by default (5 to 15); as many prompts at once as in
# the largest preset for one machine.
DATA = DataOptions(
    responses=2,
    max_tokens=48,
    votes=3,
    branch=3,
    beam=1,
    depth=2,
    in_flight=PRESETS["small"].data.in_flight,
)
QUICKER = 4
"""Divisor of the text lengths with `--quick`."""


@dataclass(frozen=True, slots=True)
class Load:
    """The prompts, and what is written for each; every response is rejected.

    critique_tokens: the length of a vote's critique; all other texts have `data.max_tokens`.
    """

    prompts: Sequence[Prompt]
    data: DataOptions
    critique_tokens: int

    @classmethod
    def of(cls, prompts: int, *, quick: bool) -> "Load":
        """A load of distinct prompts without constraints."""
        texts = islice(long_prompts(), prompts)
        shorter = QUICKER if quick else 1
        data = DATA.model_copy(update={"max_tokens": DATA.max_tokens // shorter})
        return cls(
            [Prompt.from_text(each["prompt"]) for each in texts], data, CRITIQUE_TOKENS // shorter
        )

    @property
    def stage_tokens(self) -> dict[Stage, int]:
        """Tokens of each stage, verdicts left out."""
        data, critiques = self.data, self.data.votes * self.critique_tokens
        responses = len(self.prompts) * data.responses
        nodes = len(self.prompts) * data.branch * (1 + data.beam * (data.depth - 1))
        return {
            Stage.RESPOND: responses * data.max_tokens,
            Stage.JUDGE: responses * critiques,
            Stage.REFINE: nodes * (data.max_tokens + critiques),
        }

    @property
    def tokens(self) -> int:
        """Tokens of all stages."""
        return sum(self.stage_tokens.values())


@dataclass(slots=True)
class Stages:
    """The seconds of each stage; `began` is called at the start of each."""

    began: Callable[[Stage], None]
    seconds: dict[Stage, float] = field(default_factory=dict)

    @asynccontextmanager
    async def timed(self, stage: Stage) -> AsyncIterator[None]:
        """The block is the stage."""
        self.began(stage)
        watch = Stopwatch()
        yield
        self.seconds[stage] = watch.seconds


async def play_staged(http: httpx.AsyncClient, load: Load, stages: Stages) -> None:
    """The three stages over HTTP, with every text forced by the server.

    Raises:
        httpx.HTTPError: A request failed.
    """
    data = load.data
    job = Job(str(http.base_url), 1, True, data.max_tokens, load.critique_tokens, [])
    shape = Shape(data.branch, data.beam, data.depth, data.votes)
    searches = [Search(http, job, prompt, shape) for prompt in load.prompts]
    async with stages.timed(Stage.RESPOND):
        each = [search for search in searches for _ in range(data.responses)]
        responses = await asyncio.gather(*(search.respond() for search in each))
    async with stages.timed(Stage.JUDGE):
        pairs = zip(each, responses, strict=True)
        judged = await asyncio.gather(*(search.judged(text.strip()) for search, text in pairs))
    async with stages.timed(Stage.REFINE):
        for search, rejected in zip(searches, judged[:: data.responses], strict=True):
            await search.repair(rejected)


LEASE_SECONDS = 24 * 3600.0
_IMPOSSIBLE = -1000.0


class Rejecting(EngineWrapper):
    """Scores every verdict, returns no, and counts the verdicts."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.verdicts = 0

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """A certain no, regardless of the engine's score."""
        await self._engine.score(call, options, on_delta)
        self.verdicts += 1
        return {option: 0.0 if option in NO else _IMPOSSIBLE for option in options}


class EveryVote(Judge):
    """Casts all votes; the stages' judge would leave out those that can change nothing.

    They are a part of the equal work: the reference casts them all.
    """

    async def judge(
        self,
        prompt: Prompt,
        response: str,
        options: JudgeOptions,
        context: CallContext,
        *,
        on_vote: Callable[[], None] = lambda: None,
    ) -> Judgment:
        """See `Judge.judge`."""
        options = replace(options, early_stop=False)
        return await super().judge(prompt, response, options, context, on_vote=on_vote)


@dataclass(frozen=True, slots=True)
class Worker:
    """What the worker's process has: its roles, its database, its lease, its folder."""

    engine: Rejecting
    roles: Roles
    checker: Checker
    database: Database
    lease: Lease
    place: Paths

    async def play(self, load: Load, stages: Stages) -> None:
        """The three stages of a new iteration, each stored as in any iteration."""
        work = await self._begin(load)
        prompts = load.prompts
        async with stages.timed(Stage.RESPOND), work.stage(Stage.RESPOND) as stage:
            responses = await respond(stage, prompts)
        async with stages.timed(Stage.JUDGE), work.stage(Stage.JUDGE) as stage:
            judged = await judge(stage, prompts, responses)
        async with stages.timed(Stage.REFINE), work.stage(Stage.REFINE) as stage:
            await refine(stage, prompts, judged)
        async with self.database.session() as session:
            await IterationRepository(session).finish(work.id, Status.SUCCEEDED)

    async def _begin(self, load: Load) -> IterationContext:
        async with self.database.session() as session:
            await CheckpointRepository(session).ensure_base_checkpoints(self.place.model)
            options = IterationOptions(data=load.data)
            iteration_id = await IterationRepository(session).add(NewIteration("own", options))
        async with self.database.session() as session:
            serving = (await CheckpointRepository(session).serving()).versions
        async with self.database.session() as session:
            await IterationRepository(session).start(iteration_id, serving)
        iteration = await self._iteration(iteration_id)
        return IterationContext(
            iteration, serving, self.lease, self.database, self.roles, self.checker, self.place
        )

    async def _iteration(self, iteration_id: str) -> StoredIteration:
        async with self.database.session() as session:
            found = await IterationRepository(session).get(iteration_id)
        assert found is not None, "it was added just now"
        return found


@asynccontextmanager
async def worker_at(
    server: MeteredServer, settings: Settings, model: str, critique_tokens: int
) -> AsyncIterator[Worker]:
    """A worker for the server, wired as `worker.main` does it but for what makes work equal."""
    data = server.folder / "worker"
    data.mkdir()
    own = settings.model_copy(
        update={"data": data, "database_url": None, "critique_tokens": critique_tokens}
    )
    await asyncio.to_thread(upgrade, own.url)
    async with AsyncExitStack() as stack:
        remote = RemoteEngine(server.url, connections=CONNECTIONS, timeout_s=CALL_SECONDS)
        stack.push_async_callback(remote.close)
        checker = Checker(own.check_processes, own.check_seconds)
        stack.push_async_callback(checker.close)
        await checker.start()
        database = Database(own.url)
        stack.push_async_callback(database.close)
        rejecting = Rejecting(remote)
        engine = RetryingEngine(rejecting, own.server_retry_seconds)
        every_vote = EveryVote(
            engine, checker, temperature=own.vote_temperature, critique_tokens=critique_tokens
        )
        roles = replace(make_roles(own, engine, checker), judge=every_vote)
        lease = await acquire(database, LEASE, "benchmark", LEASE_SECONDS)
        assert lease is not None, "no other process uses this database"
        yield Worker(rejecting, roles, checker, database, lease, Paths(data, model))


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
    """Responses, judgments and repairs of a number of prompts, without training."""

    def __init__(self, prompts: int, program: Sequence[str] = SERVER) -> None:
        self._prompts = prompts
        self._program = program

    async def run(self, context: Context) -> list[Row]:
        """One server for both sides.

        Raises:
            RuntimeError: Their work is not equal.
        """
        load = Load.of(self._prompts, quick=context.quick)
        context.say("starting the server")
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
        """One prompt each, with the shortest of texts, so that first-use costs are not measured."""
        one = Load(self._load.prompts[-1:], self._load.data, self._load.critique_tokens)
        for play in (self._worker.play, self._staged):
            await self._server.begin(forced=True, limit=WARM_UP_TOKENS)
            await play(one, Stages(lambda stage: self._context.say(f"warming up: {stage}")))

    async def ours(self) -> Played:
        """The worker's stages."""
        return await self._play(OURS, self._worker.play)

    async def reference(self) -> Played:
        """The reference's stages."""
        return await self._play(REFERENCE, self._staged)

    async def _staged(self, load: Load, stages: Stages) -> None:
        await play_staged(self._server.http, load, stages)

    async def _play(self, name: str, play: Play) -> Played:
        # Only a server without recent requests gives the worker its whole capacity.
        self._context.say(f"{name}: silence")
        await asyncio.sleep(QUIET_SECONDS)
        await self._server.begin(forced=True)
        verdicts = self._worker.engine.verdicts
        stages = Stages(lambda stage: self._context.say(f"{name}: {stage}"))
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

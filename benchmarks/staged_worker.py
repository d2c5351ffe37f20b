"""Our side of `staged`: the worker's own stages, over HTTP, with a database of their own."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace

from app.config.settings import Settings
from app.constraints.checker import Checker
from app.db.checkpoints import CheckpointRepository
from app.db.iterations import IterationRepository, NewIteration, StoredIteration
from app.db.leases import Lease, acquire
from app.db.session import Database
from app.db.upgrade import upgrade
from app.domain.iteration import IterationOptions, Stage, Status
from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.engine.base import Call, Engine, EngineWrapper, OnDelta, ignore_delta
from app.engine.remote import RemoteEngine
from app.roles.judge import Judge, JudgeCall
from app.roles.votes import NO
from app.search.run import Roles
from app.serving.roles import make_roles
from benchmarks.rivals.metered import MeteredServer
from benchmarks.staged_load import Load, Stages
from worker.context import IterationContext, Paths
from worker.loop import LEASE
from worker.main import CALL_SECONDS, CONNECTIONS
from worker.retry import RetryingEngine
from worker.stages.judge import judge
from worker.stages.refine import refine
from worker.stages.respond import respond

LEASE_SECONDS = 24 * 3600.0
_IMPOSSIBLE = -1000.0


class Rejecting(EngineWrapper):
    """Reads every verdict for real and then says no; counts them."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self.verdicts = 0

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """A certain no, whatever the engine scored."""
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
        how: JudgeCall,
        *,
        on_delta: OnDelta = ignore_delta,
        on_vote: Callable[[], None] = lambda: None,
    ) -> Judgment:
        """See `Judge.judge`."""
        how = replace(how, early_stop=False)
        return await super().judge(prompt, response, how, on_delta=on_delta, on_vote=on_vote)


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
        engine = RetryingEngine(rejecting, own.patience_seconds)
        every_vote = EveryVote(
            engine, checker, temperature=own.vote_temperature, critique_tokens=critique_tokens
        )
        roles = replace(make_roles(own, engine, checker), judge=every_vote)
        lease = await acquire(database, LEASE, "benchmark", LEASE_SECONDS)
        assert lease is not None, "nobody else has this database"
        yield Worker(rejecting, roles, checker, database, lease, Paths(data, model))

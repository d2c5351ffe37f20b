"""The context of an iteration's stages: stored progress, the roles, and the data folder."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence, Sized
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from app.concurrency import bounded_map
from app.db.iterations import IterationRepository, SampleRepository, StoredIteration
from app.db.leases import Lease
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.domain.dtype import Dtype
from app.domain.iteration import IterationOptions, Stage
from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.domain.search import Sampling, derive_seed
from app.engine.base import CallContext
from app.roles.judge import ConstraintChecker, JudgeOptions
from app.search.run import Roles
from worker.trainer import Train, run_training

log = logging.getLogger(__name__)

BACKGROUND_PRIORITY = 100
"""vLLM's priority of the worker's calls: lower values run first, and requests of users have 0."""

Record = dict[str, Any]
Also = Callable[[AsyncSession], Awaitable[None]] | None
ItemResult = tuple[Any, Also]
"""The result of one item, and further writes of the same transaction."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Files, and how training processes are started.

    data: the folder of the database and the checkpoints. model: the base model's folder.
    accelerate_config: a file for `accelerate launch`; None for one process. niceness: the trainer's
    (0..19). labelled_pairs: a file of pairs that refiners are also evaluated on
    (`app.evaluation.llmbar`). dtype: the number type of trainings; the trainer resolves `auto`.
    train: runs one training.
    """

    data: Path
    model: str
    accelerate_config: Path | None = None
    niceness: int = 0
    labelled_pairs: Path | None = None
    dtype: Dtype = "auto"
    train: Train = run_training


@dataclass(frozen=True, slots=True)
class IterationContext:
    """A running iteration.

    `incumbents` are the versions that generate the data, and that candidates are compared with.
    """

    iteration: StoredIteration
    incumbents: Versions
    lease: Lease
    database: Database
    roles: Roles
    checker: ConstraintChecker
    paths: Paths

    @property
    def id(self) -> str:
        """The iteration's id."""
        return self.iteration.id

    @property
    def options(self) -> IterationOptions:
        """The iteration's options."""
        return self.iteration.options

    @property
    def folder(self) -> Path:
        """The folder of the iteration's training data and progress files."""
        return self.paths.data / "iterations" / self.id

    async def respond(self, prompt: Prompt, *, actor: str, sampling: Sampling) -> str:
        """A response of the version served as `actor`, at background priority."""
        completion = await self.roles.actor.respond(
            prompt, sampling, CallContext(actor, BACKGROUND_PRIORITY)
        )
        return completion.text.strip()

    async def judge(
        self, prompt: Prompt, response: str, *, refiner: str, purpose: str, early_stop: bool
    ) -> Judgment:
        """A judgment by the version served as `refiner`, at background priority.

        `purpose` separates the random seeds of stages that judge the same response.
        """
        data = self.options.data
        options = JudgeOptions(
            votes=data.votes,
            accept_threshold=data.accept_threshold,
            early_stop=early_stop,
            seed=derive_seed(self.options.seed, purpose, prompt.instruction, response),
            ties=data.ties,
        )
        context = CallContext(refiner, BACKGROUND_PRIORITY)
        return await self.roles.judge.judge(prompt, response, options, context)

    @asynccontextmanager
    async def stage(self, name: Stage) -> AsyncIterator["StageRun"]:
        """Run a stage: recorded as started, and as finished when the block ends without error."""
        async with self.lease.session() as session:
            await IterationRepository(session).start_stage(self.id, name)
        run = StageRun(self, name)
        yield run
        async with self.lease.session() as session:
            await IterationRepository(session).finish_stage(self.id, name, run.metrics)
        log.info("stage %s of iteration %s has finished: %s", name, self.id, run.metrics)


@dataclass(slots=True)
class StageRun:
    """A running stage; `metrics` are stored when it finishes."""

    context: IterationContext
    name: Stage
    metrics: dict[str, Any] = field(default_factory=dict)

    async def items(self) -> dict[str, Any]:
        """The stored results, by key."""
        async with self.context.database.session() as session:
            return await SampleRepository(session, self.context.id).items(self.name)

    async def each(
        self, keys: Sequence[str], do: Callable[[str], Awaitable[ItemResult]]
    ) -> dict[str, Any]:
        """The results of all `keys`, in their order; `do` makes those that are not stored yet.

        At most `data.in_flight` run at once. Each result is stored with the stage's progress as
        soon as it exists, so a stage that was interrupted continues with the rest. The first error
        cancels all.

        Raises:
            LeaseLost: Another worker has taken over.
        """
        wanted = set(keys)
        results = {key: value for key, value in (await self.items()).items() if key in wanted}
        missing = [key for key in keys if key not in results]
        await self.progress(len(results), len(keys))

        async def do_and_store(key: str) -> None:
            result, also = await do(key)
            results[key] = result
            await self.context.lease.write(partial(self._store, key, result, also, results, keys))

        await bounded_map(missing, do_and_store, self.context.options.data.in_flight)
        return {key: results[key] for key in keys}

    async def _store(
        self, key: str, result: Any, also: Also, results: Sized, keys: Sized, session: AsyncSession
    ) -> None:
        await SampleRepository(session, self.context.id).add_item(self.name, key, result)
        await IterationRepository(session).record_progress(
            self.context.id, self.name, len(results), len(keys)
        )
        if also is not None:
            await also(session)

    async def progress(self, done: int, total: int) -> None:
        """Record how many of the stage's items are done."""
        async with self.context.lease.session() as session:
            await IterationRepository(session).record_progress(
                self.context.id, self.name, done, total
            )

"""What the stages of an iteration work with: the journal of what is done, and the models."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence, Sized
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from app.db.iterations import IterationRepository, SampleRepository, StoredIteration
from app.db.leases import Lease
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.domain.dtype import Dtype
from app.domain.iteration import IterationOptions, Stage
from app.domain.judgment import ConstraintResult, Judgment, Vote
from app.domain.prompt import Constraint, Message, Prompt
from app.roles.judge import ConstraintChecker
from app.search.run import Roles
from worker.trainer import Train, run_training

Record = dict[str, Any]


def prompt_record(prompt: Prompt) -> Record:
    """A prompt as JSON."""
    return {
        "messages": message_records(prompt.messages),
        "constraints": [{"id": c.id, "kwargs": dict(c.kwargs)} for c in prompt.constraints],
    }


def read_prompt(record: Mapping[str, Any]) -> Prompt:
    """What `prompt_record` made."""
    return Prompt(
        tuple(Message(**message) for message in record["messages"]),
        tuple(Constraint(**constraint) for constraint in record["constraints"]),
    )


def message_records(messages: Iterable[Message]) -> list[Record]:
    """Chat messages in the form that TRL and everybody else uses."""
    return [{"role": message.role, "content": message.content} for message in messages]


def judgment_record(judgment: Judgment) -> Record:
    """A judgment as JSON."""
    return {
        "votes": [asdict(vote) for vote in judgment.votes],
        "constraints": [
            {
                "id": result.id,
                "kwargs": dict(result.kwargs),
                "satisfied": result.satisfied,
                "message": result.message,
            }
            for result in judgment.constraints
        ],
        "gate": judgment.accept_threshold,
    }


def read_judgment(record: Mapping[str, Any]) -> Judgment:
    """What `judgment_record` made."""
    return Judgment(
        tuple(Vote(**vote) for vote in record["votes"]),
        tuple(ConstraintResult(**result) for result in record["constraints"]),
        record["gate"],
    )


Result = TypeVar("Result")


async def watched(work: Awaitable[Result], watch: Awaitable[Result]) -> Result:
    """The result of the first of the two to end, or what it raised; the other is cancelled."""
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(watch)
    both = {working, watching}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        first = working if working.done() else watching
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
    return first.result()


log = logging.getLogger(__name__)


BACKGROUND_PRIORITY = 100
"""Behind everybody who asks the server for something (0)."""

Also = Callable[[AsyncSession], Awaitable[None]] | None
ItemResult = tuple[Any, Also]
"""What one item gave, and what else to store with it, in the same transaction."""


@dataclass(frozen=True, slots=True)
class Paths:
    """Where files are, and how training processes are started.

    data: the folder of the database and the checkpoints. model: the base model's folder.
    accelerate_config: a file for `accelerate launch`; None for one process. niceness: how far
    training steps back behind serving. labelled_pairs: a file of pairs that refiners are
    measured on as well (`app.evaluation.llmbar`). dtype: the number type to train in, `auto` by
    the trainer's machine. train: what makes an adapter of a configuration.
    """

    data: Path
    model: str
    accelerate_config: Path | None = None
    niceness: int = 0
    labelled_pairs: Path | None = None
    dtype: Dtype = "auto"
    train: Train = run_training

    def iteration(self, iteration_id: str) -> Path:
        """The folder of an iteration's working files."""
        return self.data / "iterations" / iteration_id


@dataclass(frozen=True, slots=True)
class IterationContext:
    """One iteration under way. `incumbents` play, and are what candidates are measured against."""

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
        """What the iteration was told."""
        return self.iteration.options

    @property
    def folder(self) -> Path:
        """The folder of the iteration's working files."""
        return self.paths.iteration(self.id)

    @asynccontextmanager
    async def stage(self, name: Stage) -> AsyncIterator["StageRun"]:
        """Run a stage: it is recorded as begun, and when the block ends well, as done."""
        async with self.lease.session() as session:
            await IterationRepository(session).start_stage(self.id, name)
        run = StageRun(self, name)
        yield run
        async with self.lease.session() as session:
            await IterationRepository(session).finish_stage(self.id, name, run.metrics)
        log.info("stage %s of iteration %s is done: %s", name, self.id, run.metrics)


@dataclass(slots=True)
class StageRun:
    """One stage under way; `metrics` are stored when it is done."""

    context: IterationContext
    name: Stage
    metrics: dict[str, Any] = field(default_factory=dict)

    async def items(self) -> dict[str, Any]:
        """What is done already, by key."""
        async with self.context.database.session() as session:
            return await SampleRepository(session, self.context.id).items(self.name)

    async def each(
        self, keys: Sequence[str], do: Callable[[str], Awaitable[ItemResult]]
    ) -> dict[str, Any]:
        """The results of all `keys`; those that are not stored yet are made, several at once.

        Each is stored with the stage's progress as soon as it is there, so a stage that is cut
        off goes on with the rest. The first error ends all.
        """
        wanted = set(keys)
        results = {key: value for key, value in (await self.items()).items() if key in wanted}
        missing = iter([key for key in keys if key not in results])
        await self.progress(len(results), len(keys))

        async def take() -> None:
            for key in missing:
                result, also = await do(key)
                results[key] = result
                await self.context.lease.write(
                    partial(self._store, key, result, also, results, keys)
                )

        await gather_or_cancel(*(take() for _ in range(self.context.options.data.in_flight)))
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
        """Record how far the stage is."""
        async with self.context.lease.session() as session:
            await IterationRepository(session).record_progress(
                self.context.id, self.name, done, total
            )


async def gather_or_cancel(*works: Awaitable[Result]) -> list[Result]:
    """The results of all, run at the same time, in order; the first error cancels the others."""
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

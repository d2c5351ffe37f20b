"""Whole iterations over a scripted engine, real files and a real database; training is instant."""

from dataclasses import dataclass, field
from pathlib import Path
from zlib import crc32

from app.db.checkpoints import CheckpointRepository
from app.db.iterations import (
    IterationRepository,
    NewIteration,
    Sample,
    SampleRepository,
    StoredIteration,
)
from app.db.leases import Lease, acquire
from app.db.prompts import PromptRepository
from app.db.session import Database
from app.domain.checkpoint import Role
from app.domain.dtype import Dtype
from app.domain.iteration import (
    DataOptions,
    EvaluationOptions,
    IterationKind,
    IterationOptions,
    Policy,
    Source,
    Stage,
    TrainOptions,
)
from app.domain.judgment import ConstraintResult
from app.domain.prompt import Prompt
from app.engine.base import Call, Engine
from tests.helpers.checkpoint_files import make_adapter
from tests.helpers.scripted_engine import ScriptedEngine
from tests.helpers.scripts import FINE, SHORT, Part, judged_text, part_of, verdict_of_critique
from tests.helpers.searching import Checks, roles
from training.config import TrainingConfig, TrainingStep
from worker.context import IterationContext, Paths, StageRun
from worker.iteration import run_iteration
from worker.trainer import OnProgress

STEPS = 2
HOUR = 3600.0
PROMPTS = tuple(
    Prompt.from_text(f"Say something about {topic}.") for topic in ("tea", "snow", "maps", "bees")
)
OPTIONS = IterationOptions(
    data=DataOptions(
        prompts=len(PROMPTS), responses=3, votes=3, branch=2, beam=1, depth=2, in_flight=4
    ),
    actor=TrainOptions(learning_rate=1e-4),
    refiner=TrainOptions(learning_rate=1e-4),
    evaluation=EvaluationOptions(prompts=2, judged=1),
)


async def by_content(call: Call) -> str:
    """Text that depends on the call only, so that repeated calls are equal.

    A third of the judged texts is accepted by every vote, a third by none, a third is contested,
    whatever the judge's prompt.
    """
    text, part = judged_text(call) or "", part_of(call)
    if part is Part.CRITIQUE:
        number = _hash(call.model, call.sampling.seed, text)
        fate = _hash(text) % 3
        fine = number % 2 if fate == 2 else fate
        return f"{FINE if fine else SHORT} {number % 10}"
    return f"{part} {_hash(call.model, call.sampling.seed, call.messages[0].content) % 1000}"


def _hash(*values: object) -> int:
    return crc32(repr(values).encode())


def meets_most(text: str) -> tuple[ConstraintResult, ...]:
    """A constraint that one of six texts violates."""
    met = _hash("check", text) % 6 > 0
    return (ConstraintResult("some:constraint", {}, met, "" if met else "too long"),)


def engine_by_content() -> ScriptedEngine:
    """An engine with deterministic output per call."""
    return ScriptedEngine(by_content, verdict_of_critique)


class Trainer:
    """Writes a real adapter; `trained` has the configurations, in order."""

    def __init__(self) -> None:
        self.trained: list[TrainingConfig] = []
        self.niceness: int | None = None

    async def __call__(
        self,
        config: TrainingConfig,
        on_progress: OnProgress,
        *,
        accelerate_config: Path | None = None,
        niceness: int = 0,
    ) -> None:
        """Write two steps and a result, unless the result exists."""
        self.niceness = niceness
        if config.finished:
            return
        self.trained.append(config)
        for step in range(1, STEPS + 1):
            on_progress(TrainingStep(step, STEPS, 1 / step, 1e-4, float(step)))
        make_adapter(config.output)


@dataclass
class World:
    """A data folder with its database, base model and engine."""

    database: Database
    data: Path
    model: Path
    engine: Engine = field(default_factory=engine_by_content)
    trainer: Trainer = field(default_factory=Trainer)
    dtype: Dtype = "auto"
    checks: Checks = field(default_factory=lambda: Checks(meets_most))

    async def queue(
        self,
        options: IterationOptions = OPTIONS,
        *,
        promote: Policy = Policy.ALWAYS,
        kind: IterationKind = IterationKind.SELF_PLAY,
    ) -> str:
        """Queue an iteration on newly imported prompts."""
        async with self.database.session() as session:
            await CheckpointRepository(session).ensure_base_checkpoints(str(self.model))
            await PromptRepository(session).add(PROMPTS, Source.IMPORTED)
            new = NewIteration("own", options, promote, kind)
            return await IterationRepository(session).add(new)

    async def lease(self) -> Lease:
        """A new lease, replacing the previous one."""
        lease = await acquire(self.database, "iterations", "the test", HOUR)
        assert lease is not None
        return lease

    async def work(self, iteration_id: str, lease: Lease | None = None) -> IterationContext:
        """Start or resume an iteration."""
        lease = lease or await self.lease()
        async with self.database.session() as session:
            serving = (await CheckpointRepository(session).serving()).versions
        # Two transactions: in SQLite one that began by reading cannot write after another did.
        async with self.database.session() as session:
            await IterationRepository(session).start(iteration_id, serving)
        iteration = await self.iteration(iteration_id)
        assert iteration.incumbents is not None
        paths = Paths(self.data, str(self.model), niceness=7, dtype=self.dtype, train=self.trainer)
        return IterationContext(
            iteration,
            iteration.incumbents,
            lease,
            self.database,
            roles(self.engine, self.checks),
            self.checks,
            paths,
        )

    async def run(self, iteration_id: str, lease: Lease | None = None) -> None:
        """Run the remaining stages of an iteration."""
        await run_iteration(await self.work(iteration_id, lease))

    async def stage(self, stage: Stage, options: IterationOptions = OPTIONS) -> StageRun:
        """A running stage of a new iteration."""
        return StageRun(await self.work(await self.queue(options)), stage)

    async def iteration(self, iteration_id: str) -> StoredIteration:
        """The stored iteration."""
        async with self.database.session() as session:
            found = await IterationRepository(session).get(iteration_id)
        assert found is not None
        return found

    async def samples(self, iteration_id: str, role: Role) -> list[Sample]:
        """The training data of a role."""
        async with self.database.session() as session:
            return await SampleRepository(session, iteration_id).samples(role)

    async def items(self, iteration_id: str) -> dict[Stage, int]:
        """Number of stored items per stage."""
        async with self.database.session() as session:
            samples = SampleRepository(session, iteration_id)
            return {stage: len(await samples.items(stage)) for stage in Stage}

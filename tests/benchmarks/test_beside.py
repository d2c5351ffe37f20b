"""The ratio of the user's latency with and without an iteration."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import httpx
import pytest

from app.api.admin.schemas import ConversationsIn, IterationIn, PromptsIn
from app.api.schemas import GenerateIn
from app.db.checkpoints import CheckpointRepository
from app.db.iterations import IterationRepository, SampleRepository
from app.db.recorder import Recorder
from app.db.session import Database
from app.db.upgrade import upgrade
from app.domain.checkpoint import Versions
from app.domain.iteration import (
    PRESETS,
    STAGES,
    IterationKind,
    IterationOptions,
    Policy,
    Source,
    Stage,
    Status,
    options_for,
)
from benchmarks.beside import (
    ALONE,
    BESIDE,
    CONVERSATIONS,
    PROMPTS,
    QUESTIONS,
    TRAINED,
    Answer,
    Asked,
    HeldIteration,
    Phase,
    Question,
    compared,
    conversations,
    prompts,
)
from benchmarks.instructions import LONG_INSTRUCTIONS
from benchmarks.measure import Spread
from tests.helpers.endpoint import admin_door

CALLING = (Phase.RESPOND, Phase.JUDGE, Phase.REFINE)


def options(phase: Phase) -> IterationOptions:
    """What the server makes of a phase's body."""
    body = IterationIn.model_validate(phase.body)
    assert body.promote is Policy.NEVER
    assert phase.stage in STAGES[body.kind]
    return options_for(body.preset, body.overrides)


@pytest.mark.parametrize("phase", CALLING)
def test_every_phase_has_enough_prompts(phase: Phase) -> None:
    data = options(phase).data
    assert data.sources == (Source.IMPORTED,)
    assert data.prompts <= PROMPTS
    assert data.in_flight == PRESETS["small"].data.in_flight


def test_training_is_unbounded_with_negligible_learning_rate() -> None:
    told = options(Phase.TRAIN)
    assert told.roles == (TRAINED,)
    assert told.training(TRAINED).max_steps == 1_000_000
    assert told.training(TRAINED).learning_rate < PRESETS["small"].actor.learning_rate / 1000


def test_prompts_are_distinct_without_constraints() -> None:
    sent = PromptsIn.model_validate({"prompts": prompts()}).prompts
    assert len({prompt.prompt for prompt in sent}) == len(sent) == PROMPTS
    assert not any(prompt.constraints for prompt in sent)


def test_conversations_are_distinct() -> None:
    sent = ConversationsIn.model_validate({"conversations": conversations()}).conversations
    assert len({one.messages[-1].content for one in sent}) == len(sent) == CONVERSATIONS
    assert {one.role for one in sent} == {TRAINED}


POLL = 0.01
Play = Callable[[IterationRepository, SampleRepository, str], Awaitable[None]]


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at the newest revision; for copying, not for use."""
    path = tmp_path_factory.mktemp("database") / "migrated.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
async def database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """The test's own database."""
    opened = Database(f"sqlite+aiosqlite:///{shutil.copy(migrated_file, tmp_path / 'test.db')}")
    async with opened.session() as session:
        await CheckpointRepository(session).ensure_base_checkpoints("base")
    yield opened
    await opened.close()


@pytest.fixture
async def client(database: Database) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the admin endpoint."""
    transport = httpx.ASGITransport(admin_door(database, Recorder(database)))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as opened:
        yield opened


class Worker:
    """Works on whatever is queued as the test says, until it is cancelled."""

    def __init__(self, database: Database, play: Play) -> None:
        self._database = database
        self._play = play
        self._task = asyncio.create_task(self._work())

    async def end(self) -> None:
        """Stop working."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _work(self) -> None:
        while True:
            async with self._database.session() as session:
                iterations = IterationRepository(session)
                found = await iterations.next_to_run()
                if found is not None and found.status is Status.QUEUED:
                    await iterations.start(found.id, Versions())
                    await self._play(iterations, SampleRepository(session, found.id), found.id)
                elif found is not None and found.cancel_requested:
                    await iterations.finish(found.id, Status.CANCELLED)
            await asyncio.sleep(POLL)


def reach(stage: Stage) -> Play:
    """Go straight to a stage; of a training, report the first step again each time."""
    seconds = iter(range(1, 1000))

    async def play(iterations: IterationRepository, samples: SampleRepository, id_: str) -> None:
        await iterations.start_stage(id_, stage)
        if stage is Stage.TRAIN:
            await samples.record_step(TRAINED, 1, {"elapsed": next(seconds)})

    return play


def held(client: httpx.AsyncClient, phase: Phase) -> HeldIteration:
    """An iteration that needs no time to settle."""
    return HeldIteration(client, phase, settle_seconds=0, poll_seconds=POLL)


@pytest.mark.parametrize("phase", Phase)
async def test_iteration_is_cancelled_and_resumed_repeatedly(
    phase: Phase, client: httpx.AsyncClient, database: Database
) -> None:
    worker = Worker(database, reach(phase.stage))
    iteration = held(client, phase)
    seen = []
    for _ in range(3):
        async with iteration.going_on():
            seen += await listed(client)
        seen += await listed(client)
    await worker.end()

    assert [status for _, status in seen] == ["running", "cancelled"] * 3
    assert len({identifier for identifier, _ in seen}) == 1
    prompts = (await client.get("/admin/prompts")).json()
    assert prompts["counts"]["imported"] == 600


async def test_resumed_training_is_running_after_its_first_new_step(
    client: httpx.AsyncClient, database: Database
) -> None:
    steps = iter([1, None])

    async def once(iterations: IterationRepository, samples: SampleRepository, id_: str) -> None:
        await iterations.start_stage(id_, Stage.TRAIN)
        if (elapsed := next(steps)) is not None:
            await samples.record_step(TRAINED, 1, {"elapsed": elapsed})

    worker = Worker(database, once)
    iteration = held(client, Phase.TRAIN)
    async with iteration.going_on():
        pass
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3), iteration.going_on():
            pytest.fail("no step was made")
    await worker.end()


async def test_phase_that_ends_early_is_an_error(
    client: httpx.AsyncClient, database: Database
) -> None:
    async def measure() -> None:
        async with held(client, Phase.RESPOND).going_on():
            ((identifier, _),) = await listed(client)
            async with database.session() as session:
                await IterationRepository(session).finish_stage(identifier, Stage.RESPOND, {})

    worker = Worker(database, reach(Stage.RESPOND))
    with pytest.raises(RuntimeError, match="respond was over too early"):
        await measure()
    await worker.end()


async def test_failed_iteration_reports_its_error(
    client: httpx.AsyncClient, database: Database
) -> None:
    async def fail(iterations: IterationRepository, _: SampleRepository, id_: str) -> None:
        await iterations.finish(id_, Status.FAILED, error="the disk is full")

    worker = Worker(database, fail)
    with pytest.raises(RuntimeError, match="failed: the disk is full"):
        async with held(client, Phase.JUDGE).going_on():
            pytest.fail("it never was in the phase")
    await worker.end()


async def test_a_training_is_a_bootstrap(client: httpx.AsyncClient, database: Database) -> None:
    worker = Worker(database, reach(Stage.TRAIN))
    async with held(client, Phase.TRAIN).going_on():
        (iteration,) = (await client.get("/admin/iterations")).json()["iterations"]
    await worker.end()
    assert iteration["kind"] == IterationKind.BOOTSTRAP


async def listed(client: httpx.AsyncClient) -> list[tuple[str, str]]:
    """Id and status of every iteration."""
    found = (await client.get("/admin/iterations")).json()["iterations"]
    return [(one["id"], one["status"]) for one in found]


NAME = QUESTIONS[0].name


def waited(*seconds: float) -> Asked:
    """A round in which the user waited so long for one kind of question."""
    return {NAME: [Answer(each, 64) for each in seconds]}


def test_medians_are_compared_within_each_round() -> None:
    alone = [waited(1, 2, 30), waited(4, 4, 4)]
    beside = [waited(3, 2, 3), waited(4, 5, 50)]

    row = compared(Phase.JUDGE, NAME, alone, beside)

    assert row.spread == Spread(median=1.375, low=1.25, high=1.5)
    assert row.verdict == "met"
    assert row.detail[BESIDE]["seconds"][1] == [4, 5, 50]
    assert row.detail[ALONE]["tokens"] == [[64] * 3, [64] * 3]


def test_latency_ratio_of_one_and_a_half_misses_the_target() -> None:
    row = compared(Phase.TRAIN, NAME, [waited(2)], [waited(3)])
    assert row.verdict == "missed"


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_question_is_a_valid_request(question: Question) -> None:
    asked = [GenerateIn.model_validate(question.body(n, 16)) for n in range(question.times)]
    assert [one.prompt for one in asked] == list(LONG_INSTRUCTIONS[: question.times])
    assert {one.sampling.max_tokens for one in asked} == {16}

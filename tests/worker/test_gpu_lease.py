"""A training runs while the engine sleeps, and its end releases the lease."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import update

from app.db.leases import TRAINING, acquire, holder
from app.db.session import Database
from app.db.tables import LeaseRow
from app.domain.checkpoint import Role
from app.engine.base import is_asleep
from app.engine.remote import RemoteEngine
from app.errors import EngineUnavailable, LeaseLost
from tests.helpers.iterating import HOUR, Trainer
from tests.helpers.serving import served
from tests.helpers.swapping import SECONDS_UNTIL_STUCK, until
from tests.helpers.whole import whole_server
from training.config import Method, TrainingConfig, TrainingStep
from worker.gpu_lease import GpuLease
from worker.trainer import OnProgress, Train, TrainingFailed


@pytest.fixture
def config(tmp_path: Path) -> TrainingConfig:
    return TrainingConfig(
        role=Role.ACTOR,
        method=Method.DPO,
        model="model",
        data=tmp_path / "data.jsonl",
        output=tmp_path / "result",
        progress=tmp_path / "progress.jsonl",
        learning_rate=1e-4,
    )


class Engine:
    """A server's engine that sleeps as soon as the lease is held; `away` is whether it is gone."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.away = False

    async def asleep(self) -> bool:
        if self.away:
            raise EngineUnavailable("no response")
        async with self._database.session() as session:
            return await holder(session, TRAINING) is not None


class EndlessTrainer:
    """Trains until it is cancelled, or fails as the test wants."""

    def __init__(self) -> None:
        self.running = asyncio.Event()
        self.failing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.cancelled = False

    async def __call__(
        self,
        config: TrainingConfig,
        on_progress: OnProgress,
        *,
        accelerate_config: Path | None = None,
        niceness: int = 0,
    ) -> None:
        self.running.set()
        try:
            await self.failing
        except asyncio.CancelledError:
            self.cancelled = True
            raise


def while_asleep(
    database: Database, engine: Engine, train: Train, *, lease: float = HOUR, patience: float = HOUR
) -> GpuLease:
    return GpuLease(
        database,
        engine.asleep,
        owner="this worker",
        lease_seconds=lease,
        patience_seconds=patience,
        train=train,
    )


def ignore_step(_: TrainingStep) -> None:
    """Ignore the step."""


async def test_the_engine_sleeps_before_the_trainer_starts_and_wakes_after_its_end(
    database: Database, config: TrainingConfig
) -> None:
    engine, seen = Engine(database), []

    class Looking(Trainer):
        async def __call__(
            self,
            config: TrainingConfig,
            on_progress: OnProgress,
            *,
            accelerate_config: Path | None = None,
            niceness: int = 0,
        ) -> None:
            seen.append((await engine.asleep(), accelerate_config, niceness))
            await super().__call__(config, on_progress)

    steps: list[TrainingStep] = []
    train = while_asleep(database, engine, Looking())
    await train(config, steps.append, accelerate_config=Path("two.yaml"), niceness=3)
    assert seen == [(True, Path("two.yaml"), 3)]
    assert steps
    assert not await engine.asleep()


async def test_finished_training_takes_no_lease(database: Database, config: TrainingConfig) -> None:
    config.output.mkdir()
    assert await acquire(database, TRAINING, "another worker", HOUR)
    async with asyncio.timeout(SECONDS_UNTIL_STUCK):
        await while_asleep(database, Engine(database), Trainer())(config, ignore_step)


async def test_the_engine_may_wake_when_a_training_fails(
    database: Database, config: TrainingConfig
) -> None:
    engine, trainer = Engine(database), EndlessTrainer()
    trainer.failing.set_exception(TrainingFailed("out of memory"))
    with pytest.raises(TrainingFailed, match="out of memory"):
        await while_asleep(database, engine, trainer)(config, ignore_step)
    assert not await engine.asleep()


async def test_the_engine_may_wake_when_a_training_is_cancelled(
    database: Database, config: TrainingConfig
) -> None:
    engine, trainer = Engine(database), EndlessTrainer()
    training = asyncio.create_task(while_asleep(database, engine, trainer)(config, ignore_step))
    await asyncio.wait_for(trainer.running.wait(), SECONDS_UNTIL_STUCK)
    assert await engine.asleep()
    training.cancel()
    with pytest.raises(asyncio.CancelledError):
        await training
    assert trainer.cancelled
    assert not await engine.asleep()


async def test_lease_is_renewed_while_a_training_runs(
    database: Database, config: TrainingConfig
) -> None:
    engine, trainer = Engine(database), EndlessTrainer()
    train = while_asleep(database, engine, trainer, lease=0.4)
    training = asyncio.create_task(train(config, ignore_step))
    await asyncio.wait_for(trainer.running.wait(), SECONDS_UNTIL_STUCK)
    await asyncio.sleep(1)
    assert await engine.asleep()
    assert not training.done()
    trainer.failing.set_result(None)
    await training


async def test_lost_lease_cancels_the_training(database: Database, config: TrainingConfig) -> None:
    engine, trainer = Engine(database), EndlessTrainer()
    train = while_asleep(database, engine, trainer, lease=1)
    training = asyncio.create_task(train(config, ignore_step))
    await asyncio.wait_for(trainer.running.wait(), SECONDS_UNTIL_STUCK)
    async with database.session() as session:
        await session.execute(
            update(LeaseRow).where(LeaseRow.name == TRAINING).values(fence=LeaseRow.fence + 1)
        )
    with pytest.raises(LeaseLost):
        await asyncio.wait_for(training, SECONDS_UNTIL_STUCK)
    assert trainer.cancelled


async def test_training_waits_for_the_lease_of_a_dead_worker_to_expire(
    database: Database, config: TrainingConfig
) -> None:
    vanished = await acquire(database, TRAINING, "a worker that vanished", HOUR)
    assert vanished is not None
    trainer = Trainer()
    train = while_asleep(database, Engine(database), trainer)
    training = asyncio.create_task(train(config, ignore_step))
    await asyncio.sleep(0.1)
    assert not trainer.trained
    await vanished.release()
    await asyncio.wait_for(training, SECONDS_UNTIL_STUCK)
    assert trainer.trained == [config]


async def test_unavailable_server_is_polled_again(
    database: Database, config: TrainingConfig
) -> None:
    engine, trainer = Engine(database), Trainer()
    engine.away = True
    training = asyncio.create_task(while_asleep(database, engine, trainer)(config, ignore_step))
    await asyncio.sleep(0.1)
    assert not trainer.trained
    engine.away = False
    await asyncio.wait_for(training, SECONDS_UNTIL_STUCK)
    assert trainer.trained == [config]


async def test_an_engine_that_does_not_sleep_fails_the_training_with_a_hint(
    database: Database, config: TrainingConfig
) -> None:
    engine, trainer = Engine(database), Trainer()
    engine.away = True
    with pytest.raises(TrainingFailed, match="SPAR_SLEEP_WHILE_TRAINING set there too"):
        await while_asleep(database, engine, trainer, patience=0.05)(config, ignore_step)
    assert not trainer.trained
    engine.away = False
    assert not await engine.asleep()


async def test_it_is_the_real_server_that_sleeps(
    database: Database,
    database_file: Path,
    config: TrainingConfig,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    trainer = EndlessTrainer()
    async with (
        whole_server(monkeypatch, tmp_path, database_file, sleep_while_training=True) as app,
        served(app) as url,
    ):
        engine = app.state.services.engine
        remote = RemoteEngine(url, connections=4, timeout_s=10)
        train = GpuLease(
            database,
            remote.asleep,
            owner="this worker",
            lease_seconds=HOUR,
            patience_seconds=HOUR,
            train=trainer,
        )
        training = asyncio.create_task(train(config, ignore_step))
        await asyncio.wait_for(trainer.running.wait(), SECONDS_UNTIL_STUCK)
        assert is_asleep(engine)
        trainer.failing.set_result(None)
        await training
        await until(lambda: not is_asleep(engine))
        assert not await remote.asleep()
        await remote.close()

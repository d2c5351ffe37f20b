"""A training continues the incumbent, for every kind of checkpoint."""

import shutil
from pathlib import Path
from typing import Final, Literal

import pytest
from sqlalchemy import update

from app.checkpoints.manifest import MANIFEST, fingerprint, read_manifest
from app.db.checkpoints import CheckpointRepository, StoredCheckpoint
from app.db.iterations import Sample
from app.db.tables import CheckpointRow
from app.domain.checkpoint import CheckpointKind, PromotionCause, Role, Versions
from app.domain.iteration import SampleKind, Stage, TrainOptions
from tests.helpers.checkpoint_files import make_adapter, make_base
from tests.helpers.iterating import OPTIONS, Trainer, World
from training.config import TrainingConfig
from worker.stages.train import train
from worker.trainer import OnProgress, TrainingFailed

LORA: Final = CheckpointKind.LORA
FULL: Final = CheckpointKind.FULL
PAIR: dict[str, list[str]] = {"prompt": [], "chosen": [], "rejected": []}
DATA = {
    Role.ACTOR: [Sample(Role.ACTOR, SampleKind.PREFERENCE, PAIR, Versions())] * 2,
    Role.REFINER: [],
}


class TrainerOfBoth(Trainer):
    """Also writes full weights, in their real form, others each time."""

    async def __call__(
        self,
        config: TrainingConfig,
        on_progress: OnProgress,
        *,
        accelerate_config: Path | None = None,
        niceness: int = 0,
    ) -> None:
        await super().__call__(config, on_progress)
        if config.kind is FULL:
            shutil.rmtree(config.output)
            make_base(config.output, scale=1.0 + len(self.trained))


@pytest.fixture
def trainer(world: World) -> TrainerOfBoth:
    world.trainer = TrainerOfBoth()
    return world.trainer


async def trained(
    world: World, kind: Literal[CheckpointKind.LORA, CheckpointKind.FULL]
) -> StoredCheckpoint:
    """Train the actor on from what serves, and promote the result."""
    options = OPTIONS.model_copy(
        update={
            "actor": TrainOptions(kind=kind, learning_rate=1e-4),
            "roles": (Role.ACTOR,),
        }
    )
    version = (await train(await world.stage(Stage.TRAIN, options), DATA))[Role.ACTOR]
    async with world.database.session() as session:
        checkpoints = CheckpointRepository(session)
        await checkpoints.promote(Versions(version, 0), PromotionCause.PROMOTE)
        stored = await checkpoints.get(Role.ACTOR, version)
    assert stored is not None
    return stored


def folder(world: World, stored: StoredCheckpoint) -> Path:
    assert stored.path is not None
    return world.data.absolute() / stored.path


def made_for(world: World, stored: StoredCheckpoint) -> str:
    """The fingerprint in a checkpoint's manifest."""
    assert stored.digest is not None
    assert (folder(world, stored) / MANIFEST).exists()
    return read_manifest(folder(world, stored), stored.digest).base


async def test_full_weights_continue_full_weights(world: World, trainer: TrainerOfBoth) -> None:
    first, second = (
        await trained(world, FULL),
        await trained(world, FULL),
    )
    assert [(config.model, config.adapter) for config in trainer.trained] == [
        (str(world.model), None),
        (str(folder(world, first)), None),
    ]
    assert made_for(world, first) == made_for(world, second) == fingerprint(world.model)


async def test_adapter_starts_on_full_weights_and_is_continued(
    world: World, trainer: TrainerOfBoth
) -> None:
    full = await trained(world, FULL)
    first, second = (
        await trained(world, LORA),
        await trained(world, LORA),
    )
    assert [(config.model, config.adapter) for config in trainer.trained[1:]] == [
        (str(folder(world, full)), None),
        (str(folder(world, full)), folder(world, first)),
    ]
    wanted = fingerprint(folder(world, full))
    assert made_for(world, first) == made_for(world, second) == wanted
    assert wanted != fingerprint(world.model)


async def test_adapters_continue_each_other_on_the_base_model(
    world: World, trainer: TrainerOfBoth
) -> None:
    first, second = (
        await trained(world, LORA),
        await trained(world, LORA),
    )
    assert [(config.model, config.adapter) for config in trainer.trained] == [
        (str(world.model), None),
        (str(world.model), folder(world, first)),
    ]
    assert made_for(world, second) == fingerprint(world.model)


async def test_full_weights_cannot_continue_an_adapter(
    world: World, trainer: TrainerOfBoth
) -> None:
    await trained(world, LORA)
    with pytest.raises(TrainingFailed, match=r"actor@1, which is an adapter.*lora.*bootstrap"):
        await trained(world, FULL)
    assert len(trainer.trained) == 1
    async with world.database.session() as session:
        assert await CheckpointRepository(session).get(Role.ACTOR, 2) is None


async def test_only_verified_checkpoints_are_trained_further(
    world: World, trainer: TrainerOfBoth
) -> None:
    first = await trained(world, LORA)
    weights = folder(world, first) / "adapter_model.safetensors"
    whole = weights.read_bytes()
    weights.write_bytes(whole[:-1] + b"x")
    with pytest.raises(TrainingFailed, match=r"actor@1 cannot be trained further: .*damaged"):
        await trained(world, LORA)
    weights.write_bytes(whole)
    async with world.database.session() as session:
        await session.execute(
            update(CheckpointRow).where(CheckpointRow.version == 1).values(path="../x")
        )
    with pytest.raises(TrainingFailed, match=r"actor@1 .*outside the data folder"):
        await trained(world, LORA)
    assert len(trainer.trained) == 1


def leave_files_of_an_earlier_database(world: World) -> Path:
    """What a training of actor@1 wrote; no iteration of the database knows of it."""
    folder = make_adapter(world.data.absolute() / "checkpoints" / "actor@1")
    (folder / "adapter_model.safetensors").write_bytes(b"from before")
    (folder.with_name("actor@1.work") / "checkpoint-50").mkdir(parents=True)
    folder.with_name("actor@10").mkdir()
    return folder


async def test_files_of_another_training_are_moved_aside(
    world: World, trainer: TrainerOfBoth, caplog: pytest.LogCaptureFixture
) -> None:
    left = leave_files_of_an_earlier_database(world)
    first = await trained(world, LORA)
    assert len(trainer.trained) == 1
    assert (folder(world, first) / "adapter_model.safetensors").read_bytes() != b"from before"
    assert not left.with_name("actor@1.work").exists()
    assert left.with_name("actor@10").exists()
    moved = left.parent / "replaced" / "actor@1.1"
    assert (moved / "actor@1" / "adapter_model.safetensors").read_bytes() == b"from before"
    assert (moved / "actor@1.work" / "checkpoint-50").exists()
    assert f"in {moved} now, and can be deleted" in caplog.text


@pytest.mark.parametrize(
    ("samples", "trainings"),
    [pytest.param(2, 1, id="same data"), pytest.param(3, 2, id="other data")],
)
async def test_result_is_reused_only_for_its_training_data(
    world: World, trainer: TrainerOfBoth, samples: int, trainings: int
) -> None:
    stage = await world.stage(Stage.TRAIN, OPTIONS)
    await train(stage, DATA)
    async with world.database.session() as session:
        await session.execute(update(CheckpointRow).values(path=None, digest=None))
    await train(stage, {**DATA, Role.ACTOR: DATA[Role.ACTOR][:1] * samples})
    assert len(trainer.trained) == trainings


async def test_trainings_take_the_number_type_of_the_settings(
    world: World, trainer: TrainerOfBoth
) -> None:
    world.dtype = "float32"
    await trained(world, LORA)
    assert trainer.trained[0].dtype == "float32"

"""Train a candidate checkpoint of each role, in a separate process."""

import asyncio
import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import count
from pathlib import Path

from sqlalchemy.ext.asyncio import AsyncSession

from app.checkpoints.manifest import fingerprint, hash_file, place, seal
from app.checkpoints.store import verify_files
from app.db.checkpoints import CheckpointRepository, StoredCheckpoint
from app.db.iterations import Sample, SampleRepository
from app.domain.checkpoint import CheckpointKind, Role, served_name
from app.domain.iteration import IterationKind, TrainOptions
from app.errors import CheckpointRefused
from training.config import Method, TrainingConfig, TrainingStep
from worker.context import IterationContext, StageRun
from worker.stages.build import Data
from worker.trainer import TrainingFailed

log = logging.getLogger(__name__)

FEWEST_SAMPLES = 2
CHECKPOINTS = "checkpoints"
REPLACED = "replaced"

Candidates = Mapping[Role, int]
"""The new version of each role that was trained."""


@dataclass(frozen=True, slots=True)
class Start:
    """What a training continues from: full weights, and an adapter on them if there is one."""

    model: str
    adapter: Path | None


async def train(stage: StageRun, data: Data) -> Candidates:
    """Train the wanted roles that have data, one after the other.

    Each continues its incumbent: an adapter continues an adapter or starts on full weights, and
    full weights continue full weights. A version that was trained already is not trained again.

    Raises:
        TrainingFailed: The trainer failed, or the incumbent cannot be trained further.
    """
    roles = [
        role
        for role in Role
        if role in stage.context.options.roles and len(data[role]) >= FEWEST_SAMPLES
    ]
    await stage.progress(0, len(roles))
    candidates = {}
    for done, role in enumerate(roles, start=1):
        candidates[role] = await _train(stage.context, role, data[role])
        await stage.progress(done, len(roles))
    await _summarise(stage, candidates)
    return candidates


async def _train(context: IterationContext, role: Role, samples: Sequence[Sample]) -> int:
    options = context.options.training(role)
    async with context.lease.session() as session:
        checkpoints = CheckpointRepository(session)
        parent = await checkpoints.get(role, context.incumbents.of(role))
        assert parent is not None, "the incumbent is recorded"
        base_checkpoint = await checkpoints.base_checkpoint(parent)
        assert base_checkpoint is not None, "its base checkpoint is recorded"
        _check_kind(options.kind, parent)
        version = await checkpoints.begin(
            role,
            kind=options.kind,
            model=context.paths.model,
            parent=parent.version,
            iteration_id=context.id,
        )
        begun = await checkpoints.get(role, version)
    if begun is not None and begun.digest is not None:
        return version
    start = await asyncio.to_thread(_start, context, parent, base_checkpoint)
    config = await asyncio.to_thread(_prepare, context, role, version, start, options, samples)
    await asyncio.to_thread(_claim, config, context.id)
    await _run(context, role, config)
    # Full weights belong to the configured base model, over any number of trainings.
    base_model = start.model if options.kind is CheckpointKind.LORA else context.paths.model
    base = await asyncio.to_thread(fingerprint, Path(base_model))
    digest = await asyncio.to_thread(seal, config.output, role, version, options.kind, base)
    path = config.output.relative_to(context.paths.data.absolute())
    async with context.lease.session() as session:
        await CheckpointRepository(session).complete(role, version, str(path), digest)
    return version


def _check_kind(kind: CheckpointKind, parent: StoredCheckpoint) -> None:
    if kind is CheckpointKind.FULL and parent.kind is CheckpointKind.LORA:
        name = served_name(parent.role, parent.version)
        raise TrainingFailed(
            f"full training cannot continue {name}, which is an adapter: train it further with"
            f" kind lora, or roll the {parent.role} back to full weights and bootstrap again"
        )


def _start(
    context: IterationContext, parent: StoredCheckpoint, base_checkpoint: StoredCheckpoint
) -> Start:
    """The parent and the full weights it needs, both verified."""
    is_adapter = parent.kind is CheckpointKind.LORA and parent.path is not None
    return Start(
        model=context.paths.model
        if base_checkpoint.path is None
        else str(_checked(context, base_checkpoint)),
        adapter=_checked(context, parent) if is_adapter else None,
    )


def _checked(context: IterationContext, stored: StoredCheckpoint) -> Path:
    """A checkpoint's folder, verified: inside the data folder, with the recorded content."""
    try:
        folder, digest = place(stored, context.paths.data)
        verify_files(folder, digest, stored.role, stored.version)
    except CheckpointRefused as error:
        name = served_name(stored.role, stored.version)
        raise TrainingFailed(f"{name} cannot be trained further: {error.message}") from error
    return folder


def _write_samples(file: Path, samples: Sequence[Sample]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = (json.dumps(sample.content, ensure_ascii=False) for sample in samples)
    file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def _prepare(
    context: IterationContext,
    role: Role,
    version: int,
    start: Start,
    options: TrainOptions,
    samples: Sequence[Sample],
) -> TrainingConfig:
    """Write the data of a training, and make its configuration."""
    file = context.folder / f"{role}.jsonl"
    _write_samples(file, samples)
    data = context.paths.data.absolute()
    sft = role is Role.REFINER or context.iteration.kind is IterationKind.BOOTSTRAP
    return TrainingConfig(
        **options.model_dump(),
        role=role,
        method=Method.SFT if sft else Method.DPO,
        model=start.model,
        adapter=start.adapter,
        data=file,
        output=data / CHECKPOINTS / served_name(role, version),
        progress=context.folder / f"{role}.progress.jsonl",
        seed=context.options.seed,
        dtype=context.paths.dtype,
        threads=_threads(),
    )


def _claim(config: TrainingConfig, iteration_id: str) -> None:
    """Move files of another training away from the output of this one.

    A database that was restored from a backup, or deleted, assigns version numbers again whose
    files still exist. `<output>.origin.json` records the iteration and the hash of its training
    data. Where it is missing or differs, the result, the trainer's checkpoints and its logs go to
    `checkpoints/replaced/<name>.<number>`, and the training starts from the beginning.

    Raises:
        OSError: the files cannot be read, moved or written.
    """
    folder, name = config.output.parent, config.output.name
    origin = folder / f"{name}.origin.json"
    expected = json.dumps({"iteration": iteration_id, "data": hash_file(config.data)}) + "\n"
    if origin.exists() and origin.read_text(encoding="utf-8") == expected:
        return
    folder.mkdir(parents=True, exist_ok=True)
    if found := [path for path in (config.output, *folder.glob(f"{name}.*")) if path.exists()]:
        numbers = (folder / REPLACED / f"{name}.{number}" for number in count(1))
        target = next(path for path in numbers if not path.exists())
        target.mkdir(parents=True)
        for path in found:
            path.rename(target / path.name)
        log.warning(
            "%s held files that another training wrote, from before the database was restored or"
            " deleted: they are in %s now, and can be deleted",
            config.output,
            target,
        )
    origin.write_text(expected, encoding="utf-8")


def _threads() -> int:
    """CPU threads of a training: half of the cores.

    The engine's threads wait for each other at every layer, and so do the trainer's: with more
    threads than cores in all, both ran at a fourth of their speed (measured on two cores).
    """
    return max(1, (os.cpu_count() or 1) // 2)


async def _run(context: IterationContext, role: Role, config: TrainingConfig) -> None:
    """Run the training, and record every step it reports."""
    steps: asyncio.Queue[TrainingStep | None] = asyncio.Queue()

    async def record() -> None:
        while (step := await steps.get()) is not None:
            await context.lease.write(partial(_record_step, context, role, step))

    recording = asyncio.create_task(record())
    try:
        await context.paths.train(
            config,
            steps.put_nowait,
            accelerate_config=context.paths.accelerate_config,
            niceness=context.paths.niceness,
        )
        steps.put_nowait(None)
        await recording
    finally:
        recording.cancel()
        await asyncio.gather(recording, return_exceptions=True)


async def _record_step(
    context: IterationContext, role: Role, step: TrainingStep, session: AsyncSession
) -> None:
    metrics = asdict(step)
    number = metrics.pop("step")
    await SampleRepository(session, context.id).record_step(role, number, metrics)


async def _summarise(stage: StageRun, candidates: Candidates) -> None:
    """Add the metrics of each training's last step to the stage's."""
    async with stage.context.database.session() as session:
        samples = SampleRepository(session, stage.context.id)
        for role, version in candidates.items():
            steps = await samples.steps(role)
            last = steps[-1][1] if steps else {}
            shown = {name: last.get(name) for name in ("loss", "margin", "accuracy")}
            metrics = [f"{name} {value:.3g}" for name, value in shown.items() if value is not None]
            dtype = last.get("dtype")
            length = f"{len(steps)} steps" + (f" in {dtype}" if dtype else "")
            stage.metrics[served_name(role, version)] = ", ".join([length, *metrics])

"""Publishes the result: a folder that is renamed into place when complete."""

import json
import os
import shutil
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import dtype
from transformers import Trainer

from app.domain.checkpoint import CheckpointKind
from training.config import TrainingConfig
from training.model import CONFIG, WEIGHTS

MODEL_FILES = {".safetensors", ".json", ".jinja", ".model", ".txt"}


def publish(trainer: Trainer, config: TrainingConfig, stored: dtype) -> None:
    """Write the trained weights to `config.output`; full weights in the type `stored`.

    Every process calls this, as sharded weights are gathered from all; the first one writes.
    """
    unfinished = config.output.with_name(f"{config.output.name}.unfinished")
    if trainer.is_world_process_zero():
        shutil.rmtree(unfinished, ignore_errors=True)
    trainer.accelerator.wait_for_everyone()
    trainer.save_model(str(unfinished))
    trainer.accelerator.wait_for_everyone()
    if trainer.is_world_process_zero():
        _keep_only_the_result(unfinished, config)
        if config.kind is CheckpointKind.FULL:
            _convert(unfinished, stored)
        _flush(unfinished)
        unfinished.rename(config.output)


def _keep_only_the_result(folder: Path, config: TrainingConfig) -> None:
    # The trainer also leaves its pickled arguments, a model card and DPO's reference here.
    for file in folder.iterdir():
        if file.is_dir():
            shutil.rmtree(file)
        elif not _belongs(file, config.kind):
            file.unlink()


def _belongs(file: Path, kind: CheckpointKind) -> bool:
    return (
        file.name in {CONFIG, WEIGHTS}
        if kind is CheckpointKind.LORA
        else file.suffix in MODEL_FILES
    )


def _convert(folder: Path, stored: dtype) -> None:
    """Convert the weights to the base model's number type, which engines load."""
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as weights:
            converted = {name: weights.get_tensor(name).to(stored) for name in weights.keys()}  # noqa: SIM118
            metadata = weights.metadata()
        save_file(converted, file, metadata)
    config = folder / "config.json"
    values = json.loads(config.read_bytes())
    values["dtype"] = str(stored).removeprefix("torch.")
    config.write_text(json.dumps(values, indent=2) + "\n", encoding="utf-8")


def _flush(folder: Path) -> None:
    # Otherwise a power failure after the rename could leave empty files.
    for path in (*folder.iterdir(), folder):
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)

"""One training run from its configuration to its result."""

import fcntl
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from accelerate import PartialState
from transformers import AutoConfig, PrinterCallback, Trainer, TrainerCallback, set_seed

from training.checkpoints import NoneAtTheEnd, newest_complete
from training.config import Kind, Method, TrainingConfig
from training.dpo import dpo_trainer
from training.model import training_dtype
from training.progress import ProgressFile
from training.result import publish
from training.sft import sft_trainer


def train(config: TrainingConfig) -> None:
    """Train, or go on with a training that was interrupted, and publish the result.

    Does nothing if the result is there. Raises `Refused` for a configuration or data that cannot
    be trained on, and `Diverged`.
    """
    # Without this, several processes on a machine without a GPU do not know of each other.
    processes = PartialState(cpu=not torch.accelerator.is_available())
    with _alone(config, processes):
        if not config.finished:
            if config.threads is not None:
                torch.set_num_threads(config.threads)
            _train(config, processes)
        if processes.is_main_process:
            shutil.rmtree(config.work, ignore_errors=True)


@contextmanager
def _alone(config: TrainingConfig, processes: PartialState) -> Iterator[None]:
    """Wait until no other run works on the same result, such as one of a worker taken for dead."""
    config.work.mkdir(parents=True, exist_ok=True)
    with (config.work / "lock").open("w") as lock:
        if processes.is_main_process:
            fcntl.flock(lock, fcntl.LOCK_EX)
        processes.wait_for_everyone()
        yield


def _train(config: TrainingConfig, processes: PartialState) -> None:
    if processes.is_main_process:
        print(f"number type: {training_dtype(config)}", file=sys.stderr, flush=True)
    trainer = make_trainer(config)
    with processes.main_process_first():
        checkpoint = newest_complete(config.work)
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    publish(trainer, config, _stored_type(config))


def make_trainer(config: TrainingConfig, *callbacks: TrainerCallback) -> Trainer:
    """The trainer, which reports its steps to the progress file and nothing to the console."""
    set_seed(config.seed)
    make = dpo_trainer if config.method is Method.DPO else sft_trainer
    progress = ProgressFile(config.progress, training_dtype(config).dtype)
    trainer: Trainer = make(config, [NoneAtTheEnd(), progress, *callbacks])
    trainer.remove_callback(PrinterCallback)
    return trainer


def _stored_type(config: TrainingConfig) -> torch.dtype:
    """The type in which the base model's weights are stored."""
    stored = AutoConfig.from_pretrained(config.model).dtype if config.kind is Kind.FULL else None
    return stored if isinstance(stored, torch.dtype) else torch.float32

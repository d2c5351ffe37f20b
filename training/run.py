"""One training run from its configuration to its result."""
# ruff: noqa: ARG002  # transformers defines the callback's arguments

import errno
import fcntl
import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from transformers import (
    AutoConfig,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
    set_seed,
)
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from app.domain.checkpoint import CheckpointKind
from training.config import Diverged, ExitCode, Method, Refused, TrainingConfig
from training.datasets import dialogues, preferences
from training.model import load_model, load_tokenizer, new_adapter, training_dtype
from training.progress import ProgressFile
from training.result import publish

FULL_DISK = {errno.ENOSPC, errno.EDQUOT}
FULL_DISK_TEXTS = ("No space left on device", "Disk quota exceeded", "iostream error")
"""The last one is torch's only message about a failed write."""
NO_MEMORY_TEXTS = ("can't allocate memory", "Cannot allocate memory")


def classify(error: BaseException) -> tuple[ExitCode, str]:
    """The exit status and the reason of an error."""
    for cause in _causes(error):
        if _is_disk_full(cause):
            return ExitCode.DISK_FULL, f"disk full: {cause}"
        if _is_out_of_memory(cause):
            return ExitCode.OUT_OF_MEMORY, f"out of memory: {str(cause) or 'the allocation failed'}"
    if isinstance(error, Refused):
        return ExitCode.REFUSED, str(error)
    if isinstance(error, Diverged):
        return ExitCode.FAILED, str(error)
    return ExitCode.FAILED, f"{type(error).__name__}: {error}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _is_disk_full(error: BaseException) -> bool:
    # The libraries that write tensors report the system's message without its errno.
    known = isinstance(error, OSError) and error.errno in FULL_DISK
    return known or any(text in str(error) for text in FULL_DISK_TEXTS)


def _is_out_of_memory(error: BaseException) -> bool:
    known = isinstance(error, MemoryError | torch.OutOfMemoryError)
    return known or any(text in str(error) for text in NO_MEMORY_TEXTS)


KEPT_CHECKPOINTS = 2


def common_arguments(config: TrainingConfig) -> dict[str, Any]:
    """The keyword arguments that both of TRL's configurations share."""
    state = PartialState()
    at_once, times = batches(config.batch_size, config.micro_batch, state.num_processes)
    return {
        "output_dir": str(config.work),
        "seed": config.seed,
        "data_seed": config.seed,
        "learning_rate": config.learning_rate,
        "lr_scheduler_type": config.schedule.value,
        "warmup_steps": config.warmup_ratio,  # Below 1 it is a share of all steps.
        "num_train_epochs": config.epochs,
        "max_steps": config.max_steps or -1,
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": times,
        "max_length": config.max_length,
        "gradient_checkpointing": config.gradient_checkpointing,
        # The frozen weights under an adapter have this type already; mixing would only cast.
        "bf16": config.kind is CheckpointKind.FULL and training_dtype(config).dtype == "bfloat16",
        "use_cpu": state.device.type == "cpu",
        "save_strategy": "steps",
        "save_steps": config.save_steps,
        "save_total_limit": KEPT_CHECKPOINTS,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,  # It would report a NaN loss as 0.
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def batches(batch_size: int, micro_batch: int, processes: int) -> tuple[int, int]:
    """Samples per forward pass, and gradient accumulation steps, of each process.

    All processes together take `batch_size` samples per step, or the least above it that can be
    divided evenly among them.
    """
    share = -(-batch_size // processes)
    at_once = max(size for size in range(1, micro_batch + 1) if share % size == 0)
    return at_once, share // at_once


REFERENCE = "ref"
"""Name of the copy of a continued adapter that TRL keeps as the reference."""


def dpo_trainer(config: TrainingConfig, callbacks: list[TrainerCallback]) -> DPOTrainer:
    """A trainer on pairs, whose loss adds the likelihood of the chosen (SPaR).

    The reference model is what the training starts from. TRL makes it: for a new adapter the model
    with the adapter disabled, for a continued one a frozen copy of the adapter, for full training a
    second copy of the model.

    Raises:
        Refused: The model, the adapter or the data cannot be trained on.
    """
    tokenizer = load_tokenizer(config)
    dataset = preferences(config, tokenizer)
    # Before the model: DeepSpeed ZeRO-3 splits a model at loading only if it knows of it by then.
    args = DPOConfig(
        **common_arguments(config),
        beta=config.beta,
        loss_type=["sigmoid", "sft"],
        loss_weights=[1.0, config.sft_weight],
    )
    return DPOTrainer(
        model=load_model(config),
        args=args,
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=new_adapter(config),
        callbacks=callbacks,
    )


def sft_trainer(config: TrainingConfig, callbacks: list[TrainerCallback]) -> SFTTrainer:
    """A trainer on dialogues, with a loss on the assistant turns only.

    Raises:
        Refused: The model, the adapter or the data cannot be trained on.
    """
    tokenizer = load_tokenizer(config)
    dataset = dialogues(config, tokenizer)
    # Before the model: DeepSpeed ZeRO-3 splits a model at loading only if it knows of it by then.
    args = SFTConfig(**common_arguments(config))
    return SFTTrainer(
        model=load_model(config),
        args=args,
        train_dataset=dataset,
        processing_class=tokenizer,
        peft_config=new_adapter(config),
        callbacks=callbacks,
    )


STATE = "trainer_state.json"
"""The file that transformers writes last into a checkpoint."""


class NoFinalCheckpoint(TrainerCallback):
    """Prevents the checkpoint after the last step, from which resuming would train one more."""

    def on_step_end(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        **kwargs: Any,
    ) -> None:
        """Override transformers' own callback, which runs before."""
        if state.global_step >= state.max_steps:
            control.should_save = False


def newest_complete(work: Path) -> Path | None:
    """The newest complete checkpoint, ready to resume from; incomplete ones are deleted."""
    for checkpoint in sorted(work.glob("checkpoint-*"), key=_step, reverse=True):
        if _complete(checkpoint):
            # If there are adapters in sub-folders, transformers restores only those, not the
            # trained adapter. The reference is loaded elsewhere anyway.
            shutil.rmtree(checkpoint / REFERENCE, ignore_errors=True)
            return checkpoint
        shutil.rmtree(checkpoint)
    return None


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.rpartition("-")[2])


def _complete(checkpoint: Path) -> bool:
    try:
        json.loads((checkpoint / STATE).read_bytes())
    except (OSError, ValueError):
        return False
    return True


def train(config: TrainingConfig) -> None:
    """Train or resume, and publish the result; a no-op if the result exists.

    Raises:
        Refused: The configuration or the data cannot be trained on.
        Diverged: The loss is not finite.
    """
    # Without this, several processes on a machine without a GPU do not form a group.
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
    """Wait for any other run with the same output, such as that of a worker presumed dead."""
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
    """The trainer, which reports its steps to the progress file only."""
    set_seed(config.seed)
    make = dpo_trainer if config.method is Method.DPO else sft_trainer
    progress = ProgressFile(config.progress, training_dtype(config).dtype)
    trainer: Trainer = make(config, [NoFinalCheckpoint(), progress, *callbacks])
    trainer.remove_callback(PrinterCallback)
    return trainer


def _stored_type(config: TrainingConfig) -> torch.dtype:
    """The type in which the base model's weights are stored."""
    stored = (
        AutoConfig.from_pretrained(config.model).dtype
        if config.kind is CheckpointKind.FULL
        else None
    )
    return stored if isinstance(stored, torch.dtype) else torch.float32

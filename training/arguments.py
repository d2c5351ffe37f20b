"""The settings that both trainers share."""

from typing import Any

from accelerate import PartialState

from app.domain.checkpoint import CheckpointKind
from training.config import TrainingConfig
from training.model import training_dtype

KEPT_CHECKPOINTS = 2


def common_arguments(config: TrainingConfig) -> dict[str, Any]:
    """Keyword arguments for TRL's configurations."""
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
        "logging_nan_inf_filter": False,  # It would show a loss that is no number as 0.
        "report_to": "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def batches(batch_size: int, micro_batch: int, processes: int) -> tuple[int, int]:
    """Samples at once, and how often before a step, in each of so many processes.

    Together they see `batch_size` samples a step, however many they are; where that cannot be
    shared evenly, the fewest above it that can.
    """
    share = -(-batch_size // processes)
    at_once = max(size for size in range(1, micro_batch + 1) if share % size == 0)
    return at_once, share // at_once

"""Loads the tokenizer, the base model, and the adapter to train."""

import json
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, PeftModel
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from app.domain.checkpoint import CheckpointKind
from app.domain.dtype import DtypeChoice, choose_dtype, read_cpuinfo
from training.config import Refused, TrainingConfig

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
UNSUPPORTED = ("use_dora", "use_rslora", "rank_pattern", "alpha_pattern", "modules_to_save")


def check_adapter(folder: Path, config: TrainingConfig) -> None:
    """Check that `folder` holds a LoRA adapter of the configured rank, alpha and layers.

    Raises:
        Refused: It does not.
    """
    found = _read(folder / CONFIG)
    if not (folder / WEIGHTS).is_file():
        raise Refused(f"{folder} holds no {WEIGHTS}")
    if found.get("peft_type") != "LORA":
        raise Refused(f"{folder} is not a LoRA adapter but {found.get('peft_type')}")
    _compare(folder, "rank", found.get("r"), config.lora_rank)
    _compare(folder, "alpha", found.get("lora_alpha"), config.lora_alpha)
    targets = found.get("target_modules")
    there = sorted(targets) if isinstance(targets, list) else targets
    _compare(folder, "layers", there, sorted(config.lora_targets))
    for name in UNSUPPORTED:
        if found.get(name):
            raise Refused(f"{folder} uses {name}, which is not supported")


def _compare(folder: Path, what: str, found: object, configured: object) -> None:
    if found != configured:
        raise Refused(
            f"{folder} has {what} {found}, configured is {configured}: "
            "a training continues an adapter as it is"
        )


def _read(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise Refused(f"{file} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise Refused(f"{file} is not a JSON object")
    return content


def training_dtype(config: TrainingConfig) -> DtypeChoice:
    """The number type of a training on this machine: `bfloat16` or `float32`."""
    gpu = torch.accelerator.is_available()
    return choose_dtype(config.dtype, read_cpuinfo(), gpu=gpu).for_training()


def load_tokenizer(config: TrainingConfig) -> PreTrainedTokenizerBase:
    """The base model's tokenizer.

    Raises:
        Refused: It has no chat template, or does not report token offsets.
    """
    _check_folder(config.model)
    tokenizer: PreTrainedTokenizerBase = AutoTokenizer.from_pretrained(config.model)
    if tokenizer.chat_template is None:
        raise Refused(f"{config.model} has no chat template")
    if not tokenizer.is_fast:
        raise Refused(f"{config.model} has a slow tokenizer, which does not report tokens' offsets")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(config: TrainingConfig) -> PreTrainedModel | PeftModel:
    """The base model, with the adapter to continue if there is one.

    Raises:
        Refused: The adapter or the layers to adapt do not fit the model.
    """
    if config.adapter is not None:
        check_adapter(config.adapter, config)
    lora = config.kind is CheckpointKind.LORA
    base: PreTrainedModel = AutoModelForCausalLM.from_pretrained(
        config.model,
        dtype=getattr(torch, training_dtype(config).dtype) if lora else torch.float32,
        use_safetensors=True,
    )
    if lora:
        _check_targets(base, config)
    if config.adapter is None:
        return base
    return PeftModel.from_pretrained(base, str(config.adapter), is_trainable=True)


def new_adapter(config: TrainingConfig) -> LoraConfig | None:
    """The adapter to create; None for a continued adapter and for full training."""
    if config.kind is CheckpointKind.FULL or config.adapter is not None:
        return None
    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        target_modules=list(config.lora_targets),
        task_type="CAUSAL_LM",
    )


def _check_folder(model: str) -> None:
    folder = Path(model)
    if folder.is_absolute() and not (folder / "config.json").is_file():
        raise Refused(f"{model} is not a model folder: it holds no config.json")


def _check_targets(model: PreTrainedModel, config: TrainingConfig) -> None:
    names = {
        name.rpartition(".")[2]
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear)
    }
    unknown = sorted(set(config.lora_targets) - names)
    if unknown:
        raise Refused(
            f"the model has no linear layers {', '.join(unknown)}, only {', '.join(sorted(names))}"
        )

"""Preference optimisation (DPO) of the actor."""

from transformers import TrainerCallback
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from training.arguments import common_arguments
from training.config import TrainingConfig
from training.datasets import preferences
from training.model import load_model, load_tokenizer, new_adapter

REFERENCE = "ref"
"""Name of the copy of a continued adapter that TRL keeps as the reference."""


def dpo_trainer(config: TrainingConfig, callbacks: list[TrainerCallback]) -> DPOTrainer:
    """A trainer on pairs, whose loss adds the likelihood of the chosen (SPaR).

    The reference is what the training starts from. TRL sees to it: for a new adapter it is the
    model with the adapter switched off, for a continued one a frozen copy of the adapter, for
    full training a second copy of the model. Raises `Refused`.
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

"""Supervised fine-tuning on dialogues: the refiner's, and both roles' first training."""

from transformers import TrainerCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer

from training.arguments import common_arguments
from training.config import TrainingConfig
from training.datasets import dialogues
from training.model import load_model, load_tokenizer, new_adapter


def sft_trainer(config: TrainingConfig, callbacks: list[TrainerCallback]) -> SFTTrainer:
    """A trainer on dialogues that learns every assistant turn and nothing else.

    Raises `Refused`.
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

"""A random model of a few MB that is trained in seconds and that vLLM serves on a CPU."""

from pathlib import Path

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, set_seed

from app.model_files.resolve import prepare_default_model

RANK = 8


def make_tiny_model(folder: Path) -> Path:
    """A random Llama of two layers with the embedded model's tokenizer and chat template.

    Its heads are of 32, the smallest size that vLLM's attention on a CPU knows.
    """
    tokenizer = AutoTokenizer.from_pretrained(prepare_default_model())
    tokenizer.save_pretrained(folder)
    set_seed(0)
    shape = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
    )
    model = AutoModelForCausalLM.from_config(shape, dtype=torch.bfloat16)  # type: ignore[no-untyped-call]
    model.save_pretrained(folder)
    return folder


def make_tiny_adapter(model: Path, folder: Path) -> Path:
    """A random adapter for it that changes what it says; two files, as a checkpoint's are."""
    set_seed(1)
    base = AutoModelForCausalLM.from_pretrained(model)
    config = LoraConfig(
        r=RANK, lora_alpha=64, target_modules=["o_proj", "down_proj"], init_lora_weights=False
    )
    get_peft_model(base, config).save_pretrained(str(folder))
    (folder / "README.md").unlink()
    return folder

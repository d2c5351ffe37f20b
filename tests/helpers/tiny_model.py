"""A random model of one MB that is trained in seconds and that vLLM serves on a CPU."""

import json
from pathlib import Path
from typing import Any

from app.model_files.resolve import prepare_default_model
from app.roles.votes import NO, YES

RANK = 8
MERGES = 4000
"""Of the embedded tokenizer's 48,900; the vocabulary dominates the cost of a training step."""


def make_tiny_model(folder: Path) -> Path:
    """A random Llama of two layers with the embedded model's chat template.

    Its tokenizer is the embedded model's with about 4,300 of the 49,152 tokens, the spellings of
    yes and no among them. Its heads are of 32, the smallest size that vLLM's attention on a CPU
    knows.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, set_seed

    AutoTokenizer.from_pretrained(prepare_default_model()).save_pretrained(folder)
    shorten(folder / "tokenizer.json")
    tokenizer = AutoTokenizer.from_pretrained(folder)
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


def shorten(path: Path) -> None:
    """Truncate a byte-level BPE tokenizer to its first merges and those of yes and no."""
    tokenizer: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    model = tokenizer["model"]
    merges: list[list[str]] = model["merges"]
    origin: dict[str, list[str]] = {}
    for merge in merges:
        origin.setdefault("".join(merge), merge)
    kept = {token for token in model["vocab"] if token not in origin}
    wanted = ["".join(merge) for merge in merges[:MERGES]]
    wanted += [word.replace(" ", space) for word in (*YES, *NO) for space in ("", "Ġ")]
    while wanted:
        token = wanted.pop()
        if token in origin and token not in kept:
            kept.add(token)
            wanted += origin[token]
    model["merges"] = [merge for merge in merges if {*merge, "".join(merge)} <= kept]
    order = sorted(kept, key=model["vocab"].__getitem__)
    model["vocab"] = {token: number for number, token in enumerate(order)}
    path.write_text(json.dumps(tokenizer), encoding="utf-8")


def make_tiny_adapter(model: Path, folder: Path) -> Path:
    """A random adapter for it that changes its output."""
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM, set_seed

    set_seed(1)
    base = AutoModelForCausalLM.from_pretrained(model)
    config = LoraConfig(
        r=RANK, lora_alpha=64, target_modules=["o_proj", "down_proj"], init_lora_weights=False
    )
    get_peft_model(base, config).save_pretrained(str(folder))
    (folder / "README.md").unlink()
    return folder

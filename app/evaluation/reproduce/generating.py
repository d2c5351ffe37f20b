"""Greedy answers of a model folder, with an adapter or without: no server, for small models."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

_AT_ONCE = 16
"""Prompts in a batch."""


def answers(model: str, adapter: Path | None, prompts: Sequence[str], tokens: int) -> list[str]:
    """The answer to each prompt, at most so many tokens long, in the prompts' order."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # Left: an answer follows its prompt directly, however long the others are.
    tokenizer: Any = AutoTokenizer.from_pretrained(model, padding_side="left")
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    loaded: Any = AutoModelForCausalLM.from_pretrained(model, use_safetensors=True)
    if adapter is not None:
        loaded = PeftModel.from_pretrained(loaded, str(adapter))
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = loaded.to(device).eval()
    found: list[str] = []
    for start in range(0, len(prompts), _AT_ONCE):
        batch = tokenizer.apply_chat_template(
            [[{"role": "user", "content": text}] for text in prompts[start : start + _AT_ONCE]],
            add_generation_prompt=True,
            padding=True,
            return_dict=True,
            return_tensors="pt",
        ).to(device)
        with torch.inference_mode():
            written = loaded.generate(
                **batch,
                max_new_tokens=tokens,
                do_sample=False,
                pad_token_id=tokenizer.pad_token_id,
            )
        fresh = written[:, batch["input_ids"].shape[1] :]
        found += tokenizer.batch_decode(fresh, skip_special_tokens=True)
    return found

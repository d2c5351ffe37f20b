"""Converts a GGUF file to a model folder: `python -m app.model_files.convert FILE FOLDER`.

Runs in a child process, so that the conversion does not affect the server's memory and settings.
Every line printed is the fraction done (0..1) and the next step, for example `0.2 Unpacking`.
"""

import sys
from pathlib import Path

import torch
from tokenizers.pre_tokenizers import ByteLevel, Digits, Sequence
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig


def convert(source: Path, folder: Path) -> None:
    """Write `source` as bfloat16 safetensors, with tokenizer and chat template, into `folder`."""
    _report(0.2, "Unpacking the weights")
    model = AutoModelForCausalLM.from_pretrained(
        source.parent,
        gguf_file=source.name,
        dtype=torch.bfloat16,
        quantization_config=GgufConfig(dequantize=True),
    )
    _report(0.7, "Unpacking the tokenizer")
    tokenizer = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    tokenizer.model_max_length = model.config.max_position_embeddings
    # The GGUF tokenizer import loses SmolLM's digit splitting; blank lines and spaces before
    # numbers would become tokens that the model was not trained on.
    tokenizer.backend_tokenizer.pre_tokenizer = Sequence(
        [Digits(individual_digits=True), ByteLevel(add_prefix_space=False)]
    )
    _report(0.85, "Writing the model")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def _report(share: float, step: str) -> None:
    print(share, step, flush=True)


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))

"""The data files as tokenised datasets, kept in memory."""

import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

from datasets import Dataset
from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from app.domain.control import control_texts
from training.config import TrainingConfig
from training.outcome import Refused
from training.rows import Dialogue, Pair, read_rows
from training.spans import Messages, assistant_spans, label


def preferences(config: TrainingConfig, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """The pairs both of whose sides fit `max_length`, for TRL to tokenise.

    Raises `Refused` for data, or a chat template, that cannot be trained on.
    """
    rows = _harmless(read_rows(config.data, Pair), tokenizer, config)
    fit = [row for row in rows if _longest_side(row, tokenizer) <= config.max_length]
    _report_left_out(len(rows), len(fit), config)
    return Dataset.from_list(fit)


def dialogues(config: TrainingConfig, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """The dialogues that fit `max_length`, as `input_ids` and `labels`.

    Only the assistant's tokens are labelled. Raises `Refused` for data, or a chat template, that
    cannot be trained on.
    """
    rows = _harmless(read_rows(config.data, Dialogue), tokenizer, config)
    encoded = [encode(row["messages"], tokenizer) for row in rows]
    fit = [row for row in encoded if len(row["input_ids"]) <= config.max_length]
    _report_left_out(len(encoded), len(fit), config)
    return Dataset.from_list(fit)


def encode(messages: Messages, tokenizer: PreTrainedTokenizerBase) -> dict[str, list[int]]:
    """One conversation as `input_ids`, tokenised as a whole, and the `labels` of its turns."""
    text, spans = assistant_spans(messages, partial(_render, tokenizer))
    tokens = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)
    labels = label(tokens["input_ids"], tokens["offset_mapping"], spans)
    return {"input_ids": tokens["input_ids"], "labels": labels}


def _harmless(
    rows: Sequence[Pair | Dialogue], tokenizer: PreTrainedTokenizerBase, config: TrainingConfig
) -> list[dict[str, Any]]:
    """The rows that hold no text of a control token, such as `<|im_end|>`.

    When serving, such a text is kept from becoming the token. TRL's tokenising does not keep it,
    so that what would be learnt is not what the model is later prompted with, and whoever wrote
    the prompt could have spoken for another role.
    """
    control = control_texts(tokenizer)
    if control is None:
        return [row.model_dump() for row in rows]
    harmless = [row for row in rows if not any(map(control.search, row.texts()))]
    if not harmless:
        raise Refused(f"{config.data}: every sample holds the text of a control token of the model")
    if len(harmless) < len(rows):
        count = len(rows) - len(harmless)
        _report(f"left out {count} of {len(rows)} samples, which hold texts of control tokens")
    return [row.model_dump() for row in harmless]


def _longest_side(row: dict[str, Any], tokenizer: PreTrainedTokenizerBase) -> int:
    sides = [[*row["prompt"], *row[side]] for side in ("chosen", "rejected")]
    return max(len(encode(side, tokenizer)["input_ids"]) for side in sides)


def _render(tokenizer: PreTrainedTokenizerBase, messages: Messages, opened: bool) -> str:
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=opened)
    except TemplateError as error:
        raise Refused(f"the model's chat template refuses a conversation: {error}") from error
    return str(text)


def _report_left_out(given: int, kept: int, config: TrainingConfig) -> None:
    if not kept:
        raise Refused(
            f"{config.data}: every sample is longer than {config.max_length} tokens; raise"
            " `max_length`, or play on shorter prompts"
        )
    if kept < given:
        _report(
            f"left out {given - kept} of {given} samples, longer than {config.max_length} tokens"
        )


def _report(line: str) -> None:
    print(line, file=sys.stderr)

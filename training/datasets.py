"""The data files as tokenised datasets, kept in memory."""

import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar

from datasets import Dataset
from jinja2 import TemplateError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from transformers import PreTrainedTokenizerBase

from app.domain.prompt import ChatRole, control_texts
from training.config import Refused, TrainingConfig, explain


class ChatMessage(BaseModel):
    """One message; other fields are ignored."""

    model_config = ConfigDict(frozen=True)

    role: ChatRole
    content: str


def _asks(messages: tuple[ChatMessage, ...]) -> tuple[ChatMessage, ...]:
    if messages[-1].role != "user":
        raise ValueError("the last message must be the user's")
    return messages


def _answers(messages: tuple[ChatMessage, ...]) -> tuple[ChatMessage, ...]:
    if messages[0].role != "assistant":
        raise ValueError("the message must be the assistant's")
    return messages


def _teaches(messages: tuple[ChatMessage, ...]) -> tuple[ChatMessage, ...]:
    if messages[0].role == "assistant":
        raise ValueError("the first message cannot be the assistant's")
    if all(message.role != "assistant" for message in messages):
        raise ValueError("no message is the assistant's, so the dialogue has no training target")
    return messages


Question = Annotated[tuple[ChatMessage, ...], Field(min_length=1), AfterValidator(_asks)]
Answer = Annotated[tuple[ChatMessage, ...], Field(min_length=1, max_length=1)]


class Pair(BaseModel):
    """A preference: to this prompt, `chosen` is the better answer. Other fields are ignored."""

    model_config = ConfigDict(frozen=True)

    prompt: Question
    chosen: Annotated[Answer, AfterValidator(_answers)]
    rejected: Annotated[Answer, AfterValidator(_answers)]

    def texts(self) -> Iterator[str]:
        """The contents of its messages."""
        return (message.content for message in (*self.prompt, *self.chosen, *self.rejected))


class Dialogue(BaseModel):
    """A conversation, trained on all its assistant turns. Other fields are ignored."""

    model_config = ConfigDict(frozen=True)

    messages: Annotated[tuple[ChatMessage, ...], Field(min_length=1), AfterValidator(_teaches)]

    def texts(self) -> Iterator[str]:
        """The contents of its messages."""
        return (message.content for message in self.messages)


Row = TypeVar("Row", Pair, Dialogue)


def read_rows(file: Path, kind: type[Row]) -> list[Row]:
    """All rows of a JSON lines file; blank lines are skipped.

    Raises:
        Refused: A line is not such a row (the text names it), or the file has no rows.
    """
    rows = [_parse(file, number, line, kind) for number, line in _lines(file)]
    if not rows:
        raise Refused(f"{file} holds no samples")
    return rows


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    try:
        lines = file.read_bytes().split(b"\n")
    except OSError as error:
        raise Refused(f"{file} cannot be read: {error.strerror or error}") from error
    return ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def _parse(file: Path, number: int, line: bytes, kind: type[Row]) -> Row:
    try:
        return kind.model_validate_json(line)
    except ValidationError as error:
        raise Refused(f"{file}, line {number}: {explain(error)}") from error


Messages = list[dict[str, str]]
Render = Callable[[Messages, bool], str]
"""Renders messages by a chat template; the flag adds the generation prompt."""

IGNORED = -100
"""The label of a token without loss."""


def assistant_spans(messages: Messages, render: Render) -> tuple[str, list[tuple[int, int]]]:
    """The rendered conversation, and the range of characters of every assistant turn.

    A turn starts after the generation prompt and ends with its end mark, without the white space
    after the mark.

    Raises:
        Refused: The template does not render stably: adding a message changes text before it, so
            the training text would differ from the prompts when serving.
    """
    whole = render(messages, False)
    spans = []
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        before = render(messages[:index], True)
        behind = render(messages[: index + 1], False)
        if not (behind.startswith(before) and whole.startswith(behind)):
            raise Refused(
                "the model's chat template renders a conversation's beginning differently once "
                f"it is continued (around message {index + 1}), so the assistant's tokens cannot "
                "be located"
            )
        spans.append((len(before), len(before) + len(behind[len(before) :].rstrip())))
    return whole, spans


def label(
    ids: Sequence[int], offsets: Sequence[tuple[int, int]], spans: Sequence[tuple[int, int]]
) -> list[int]:
    """The token ids inside the spans, and `IGNORED` for all others.

    `offsets` are the characters of each token. A token counts if it begins inside a span.
    """
    return [
        token if any(start <= first < end for start, end in spans) else IGNORED
        for token, (first, _last) in zip(ids, offsets, strict=True)
    ]


def preferences(config: TrainingConfig, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """The pairs both of whose sides fit `max_length`, for TRL to tokenise.

    Raises:
        Refused: The data or the chat template cannot be trained on.
    """
    rows = _harmless(read_rows(config.data, Pair), tokenizer, config)
    fit = [row for row in rows if _longest_side(row, tokenizer) <= config.max_length]
    _report_left_out(len(rows), len(fit), config)
    return Dataset.from_list(fit)


def dialogues(config: TrainingConfig, tokenizer: PreTrainedTokenizerBase) -> Dataset:
    """The dialogues that fit `max_length`, as `input_ids` and `labels` of the assistant's tokens.

    Raises:
        Refused: The data or the chat template cannot be trained on.
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
    """The rows without the text of a control token, such as `<|im_end|>`.

    When serving, such text does not become the token; in TRL's tokenising it does, so that the
    training text would differ from the prompts, and a prompt could impersonate another role.
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
            " `max_length`, or use shorter prompts"
        )
    if kept < given:
        _report(
            f"left out {given - kept} of {given} samples, longer than {config.max_length} tokens"
        )


def _report(line: str) -> None:
    print(line, file=sys.stderr)

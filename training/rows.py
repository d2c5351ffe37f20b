"""The rows of the data files, in TRL's conversational formats. Free of torch."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from app.domain.prompt import ChatRole
from training.config import explain
from training.outcome import Refused


class ChatMessage(BaseModel):
    """One message; anything else it carries is not trained on."""

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
        raise ValueError("no message is the assistant's, so there is nothing to learn")
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
        """What is said in it."""
        return (message.content for message in (*self.prompt, *self.chosen, *self.rejected))


class Dialogue(BaseModel):
    """A conversation whose assistant turns, all of them, are learnt. Other fields are ignored."""

    model_config = ConfigDict(frozen=True)

    messages: Annotated[tuple[ChatMessage, ...], Field(min_length=1), AfterValidator(_teaches)]

    def texts(self) -> Iterator[str]:
        """What is said in it."""
        return (message.content for message in self.messages)


Row = TypeVar("Row", Pair, Dialogue)


def read_rows(file: Path, kind: type[Row]) -> list[Row]:
    """All rows of a JSON lines file; blank lines are skipped.

    Raises `Refused` naming the line and what is wrong with it, or if there is no row.
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

"""The prompt of a request: chat messages, and the constraints a program can check."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

ChatRole = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: ChatRole
    content: str


@dataclass(frozen=True, slots=True)
class Constraint:
    """A requirement a program can check.

    `id` names a checker (`length_constraints:number_words`, `json_schema`, `regex`, ...) and
    `kwargs` are that checker's own arguments.
    """

    id: str
    kwargs: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prompt:
    """The conversation to answer (its last message is the user's) and its constraints."""

    messages: tuple[Message, ...]
    constraints: tuple[Constraint, ...] = ()

    @classmethod
    def from_text(cls, text: str, constraints: tuple[Constraint, ...] = ()) -> "Prompt":
        """A conversation of a single user message."""
        return cls((Message("user", text),), constraints)

    @property
    def instruction(self) -> str:
        """The text of the last user message: what the response has to follow."""
        return next((m.content for m in reversed(self.messages) if m.role == "user"), "")


def control_texts(tokenizer: object) -> re.Pattern[str] | None:
    """A pattern that matches the text of any control token; None when there are none.

    A tokenizer without Hugging Face's `added_tokens_decoder` never reads control tokens from text.
    """
    added = getattr(tokenizer, "added_tokens_decoder", {})
    texts = {token.content for token in added.values() if token.special and token.content}
    # The longest first, because one may begin with another.
    longest_first = sorted(texts, key=lambda text: (-len(text), text))
    return re.compile("|".join(map(re.escape, longest_first))) if texts else None

"""Chat template rendering: messages to token ids.

A chat template marks roles with control tokens such as `<|im_start|>`. The same characters in a
message's content must not become such a token, or the content could impersonate the system role.
They are therefore replaced by placeholders before the template is applied, and restored as
ordinary text afterwards.
"""

import asyncio
import re
import secrets
from collections.abc import Iterator, Sequence
from typing import Any, Protocol, cast

from app.domain.prompt import Message, control_texts
from app.errors import PromptTooLong

LONG_TEXT = 16_384
"""Texts of more characters are tokenized in a worker thread."""


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is used here."""

    def apply_chat_template(
        self, messages: list[Any], tools: list[dict[str, Any]] | None = None, **kwargs: Any
    ) -> str | list[int]: ...
    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...


class SplittingTokenizer(Protocol):
    """A tokenizer that can encode the texts of control tokens as ordinary text."""

    def encode(
        self, text: str, *, add_special_tokens: bool, split_special_tokens: bool
    ) -> list[int]: ...


class Renderer:
    """Renders conversations with a model's chat template and tokenizer."""

    def __init__(self, tokenizer: Tokenizer, context_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._context_tokens = context_tokens
        self._single_tokens: dict[str, int | None] = {}
        self._control = control_texts(tokenizer)

    async def render(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the conversation, with the generation prompt.

        A last assistant message is a prefill: the model continues its exact text.
        """
        if sum(len(message.content) for message in messages) > LONG_TEXT:
            return await asyncio.to_thread(self._render, messages)
        return self._render(messages)

    async def render_within_context(self, messages: Sequence[Message]) -> list[int]:
        """Like `render`.

        Raises:
            PromptTooLong: no token is left for the completion.
        """
        tokens = await self.render(messages)
        if len(tokens) >= self._context_tokens:
            raise PromptTooLong(
                f"the conversation has {len(tokens)} tokens; the model's context holds "
                f"{self._context_tokens}, the answer included"
            )
        return tokens

    async def encode(self, text: str, *, special_tokens: bool) -> list[int]:
        """Token ids of a plain text, with or without the tokenizer's special tokens."""
        if len(text) > LONG_TEXT:
            return await asyncio.to_thread(
                self._tokenizer.encode, text, add_special_tokens=special_tokens
            )
        return self._tokenizer.encode(text, add_special_tokens=special_tokens)

    def single_token(self, text: str) -> int | None:
        """The id of a text that is exactly one token, else None."""
        if text not in self._single_tokens:
            tokens = self._tokenizer.encode(text, add_special_tokens=False)
            self._single_tokens[text] = tokens[0] if len(tokens) == 1 else None
        return self._single_tokens[text]

    def _render(self, messages: Sequence[Message]) -> list[int]:
        marks = _Marks(self._control, messages)
        prefilled = messages[-1].role == "assistant"
        spoken = messages[:-1] if prefilled else messages
        text = self._tokenizer.apply_chat_template(
            [{"role": one.role, "content": marks.put(one.content)} for one in spoken],
            tokenize=False,
            add_generation_prompt=True,
        )
        assert isinstance(text, str), "rendered without tokenizing"
        if prefilled:
            text += marks.put(messages[-1].content)
        tokens: list[int] = []
        for ordinary, part in marks.parts(text):
            if ordinary:
                splitting = cast(SplittingTokenizer, self._tokenizer)
                tokens += splitting.encode(
                    part, add_special_tokens=False, split_special_tokens=True
                )
            else:
                tokens += self._tokenizer.encode(part, add_special_tokens=False)
        return tokens


class _Marks:
    """Replaces control texts by placeholders, and restores them.

    Placeholders contain a fresh random token, so that no message can contain one.
    """

    def __init__(self, control: re.Pattern[str] | None, messages: Sequence[Message]) -> None:
        self._texts: list[str] = []
        self._control = None
        if control is not None and any(control.search(one.content) for one in messages):
            self._control = control
        self._edge = f"\ue000{secrets.token_hex(16)}\ue001"

    def put(self, content: str) -> str:
        """The content with a placeholder for every control text."""
        if self._control is None:
            return content
        return self._control.sub(self._mark, content)

    def parts(self, text: str) -> Iterator[tuple[bool, str]]:
        """The rendered text in parts, each with whether it replaces a placeholder."""
        if self._control is None:
            yield False, text
            return
        for index, part in enumerate(text.split(self._edge)):
            if index % 2:
                yield True, self._texts[int(part)]
            elif part:
                yield False, part

    def _mark(self, found: re.Match[str]) -> str:
        self._texts.append(found[0])
        return f"{self._edge}{len(self._texts) - 1}{self._edge}"

"""From chat messages to the tokens a model reads."""

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol

from app.domain.prompt import Message
from app.errors import PromptTooLong

LONG_TEXT = 16_384
"""Characters above which tokenizing leaves the event loop's thread."""


class Tokenizer(Protocol):
    """What we use of a Hugging Face tokenizer."""

    def apply_chat_template(
        self, messages: list[Any], tools: list[dict[str, Any]] | None = None, **kwargs: Any
    ) -> str | list[int]: ...
    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]: ...


class Renderer:
    """Renders conversations with a model's chat template and tokenizer."""

    def __init__(self, tokenizer: Tokenizer, context_tokens: int) -> None:
        self._tokenizer = tokenizer
        self._context_tokens = context_tokens
        self._single_tokens: dict[str, int | None] = {}

    async def render(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of the conversation, ready for the assistant to speak.

        A last assistant message is a prefill: its text is continued, character for character.
        """
        if sum(len(message.content) for message in messages) > LONG_TEXT:
            return await asyncio.to_thread(self._render, messages)
        return self._render(messages)

    async def render_within_context(self, messages: Sequence[Message]) -> list[int]:
        """Like `render`; raises `PromptTooLong` when no room is left for an answer."""
        tokens = await self.render(messages)
        if len(tokens) >= self._context_tokens:
            raise PromptTooLong(
                f"the conversation has {len(tokens)} tokens; the model's context holds "
                f"{self._context_tokens}, the answer included"
            )
        return tokens

    async def encode(self, text: str, *, special_tokens: bool) -> list[int]:
        """Token ids of a bare text, with or without those the tokenizer puts around it."""
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
        prefilled = messages[-1].role == "assistant"
        spoken = messages[:-1] if prefilled else messages
        text = self._tokenizer.apply_chat_template(
            [{"role": message.role, "content": message.content} for message in spoken],
            tokenize=False,
            add_generation_prompt=True,
        )
        assert isinstance(text, str), "rendered without tokenizing"
        if prefilled:
            text += messages[-1].content
        return self._tokenizer.encode(text, add_special_tokens=False)

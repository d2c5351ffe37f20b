"""Counts what a search spends, token by token."""

import asyncio

from app.domain.budget import Usage
from app.engine.base import Delta

WHOLE_CALL = 1_000_000


class Meter:
    """Adds every call's progress to the usage and says when the token budget is spent."""

    def __init__(self, usage: Usage, max_tokens: int | None) -> None:
        self._usage = usage
        self._max_tokens = max_tokens
        self.spent = asyncio.Event()

    def __call__(self, delta: Delta) -> None:
        """Count one delta; sets `spent` once `max_tokens` completion tokens are reached."""
        self._usage.prompt_tokens += delta.prompt_tokens
        self._usage.completion_tokens += delta.completion_tokens
        if self._max_tokens is not None and self._usage.completion_tokens >= self._max_tokens:
            self.spent.set()

    @property
    def chunk_tokens(self) -> int:
        """How often calls must report: every token under a token budget, else at their end."""
        return WHOLE_CALL if self._max_tokens is None else 1

    def clip(self, max_tokens: int) -> int:
        """A call's length limit, no longer than what is left of the budget."""
        if self._max_tokens is None:
            return max_tokens
        return max(1, min(max_tokens, self._max_tokens - self._usage.completion_tokens))

"""Counting the tokens of whoever a request belongs to."""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar

from app.domain.prompt import Message
from app.engine.base import Call, Completion, Delta, Engine, OnDelta, ignore_delta

Spend = Callable[[int], None]


def _nobody(_: int) -> None:
    """Nobody pays."""


spender: ContextVar[Spend] = ContextVar("spender", default=_nobody)
"""Told the tokens of every model call made in this context, as they are read and written."""


class CountingEngine:
    """An engine that tells the context's `spender` what each call costs, cancelled ones too."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """See `Engine.complete`."""
        return await self._engine.complete(call, counting(on_delta))

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """See `Engine.score`."""
        return await self._engine.score(call, options, counting(on_delta))

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `Engine.count_tokens`."""
        return await self._engine.count_tokens(messages)

    async def tokenize(
        self, content: str | Sequence[Message], *, special_tokens: bool = False
    ) -> list[int]:
        """See `Engine.tokenize`."""
        return await self._engine.tokenize(content, special_tokens=special_tokens)

    @property
    def context_tokens(self) -> int:
        """See `Engine.context_tokens`."""
        return self._engine.context_tokens

    @property
    def ready(self) -> bool:
        """See `Engine.ready`."""
        return self._engine.ready

    @property
    def unfinished(self) -> int:
        """See `Engine.unfinished`."""
        return self._engine.unfinished

    @property
    def restarts(self) -> int:
        """See `Engine.restarts`."""
        return self._engine.restarts


def counting(on_delta: OnDelta) -> OnDelta:
    """The same, and the context's `spender` is told as well."""
    spend = spender.get()

    def count(delta: Delta) -> None:
        if tokens := delta.prompt_tokens + delta.completion_tokens:
            spend(tokens)
        on_delta(delta)

    return count

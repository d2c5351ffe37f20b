"""Counting the tokens of whoever a request belongs to."""

from collections.abc import Callable, Mapping, Sequence
from contextvars import ContextVar

from app.engine.around import EngineAround
from app.engine.base import Call, Completion, Delta, OnDelta, ignore_delta

Spend = Callable[[int], None]


def _nobody(_: int) -> None:
    """Nobody pays."""


spender: ContextVar[Spend] = ContextVar("spender", default=_nobody)
"""Told the tokens of every model call made in this context, as they are read and written."""


class CountingEngine(EngineAround):
    """An engine that tells the context's `spender` what each call costs, cancelled ones too."""

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """See `Engine.complete`."""
        return await self._engine.complete(call, counting(on_delta))

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """See `Engine.score`."""
        return await self._engine.score(call, options, counting(on_delta))


def counting(on_delta: OnDelta) -> OnDelta:
    """The same, and the context's `spender` is told as well."""
    spend = spender.get()

    def count(delta: Delta) -> None:
        if tokens := delta.prompt_tokens + delta.completion_tokens:
            spend(tokens)
        on_delta(delta)

    return count

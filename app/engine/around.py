"""What engines have in common that stand around another one and change some of its calls."""

from collections.abc import Mapping, Sequence

from app.domain.prompt import Message
from app.engine.base import Call, Completion, Engine, OnDelta, ignore_delta


class EngineAround:
    """Passes every call on as it is; a subclass replaces what it changes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """See `Engine.complete`."""
        return await self._engine.complete(call, on_delta)

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """See `Engine.score`."""
        return await self._engine.score(call, options, on_delta)

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

"""An engine that retries while its server is unavailable, for example during a restart."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from app.concurrency import backoff, retry
from app.domain.prompt import Message
from app.engine.base import Call, Completion, Engine, EngineWrapper, OnDelta, ignore_delta
from app.errors import EngineUnavailable

log = logging.getLogger(__name__)

Result = TypeVar("Result")

PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 10.0


class RetryingEngine(EngineWrapper):
    """Retries each call while the engine is unavailable, with backoff, for up to `seconds`.

    A retried call reports its progress again.
    """

    def __init__(self, engine: Engine, seconds: float) -> None:
        super().__init__(engine)
        self._seconds = seconds

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """See `Engine.complete`."""
        return await self._retry(lambda: self._engine.complete(call, on_delta))

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """See `Engine.score`."""
        return await self._retry(lambda: self._engine.score(call, options, on_delta))

    async def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `Engine.count_tokens`."""
        return await self._retry(lambda: self._engine.count_tokens(messages))

    async def tokenize(
        self, content: str | Sequence[Message], *, special_tokens: bool = False
    ) -> list[int]:
        """See `Engine.tokenize`."""
        return await self._retry(
            lambda: self._engine.tokenize(content, special_tokens=special_tokens)
        )

    async def _retry(self, attempt: Callable[[], Awaitable[Result]]) -> Result:
        def report(error: EngineUnavailable, pause: float) -> float:
            log.info("waiting %.0f s for the server: %s", pause, error.message)
            return pause

        pauses = backoff(PAUSE_SECONDS, LONGEST_PAUSE_SECONDS)
        return await retry(
            attempt, EngineUnavailable, pauses, within=self._seconds, on_failure=report
        )

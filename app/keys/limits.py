"""Rate limits of each key, and the tokens its calls use. Each server process counts separately."""

import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter

from app.domain.key import Key
from app.engine.base import Call, Completion, Delta, EngineWrapper, OnDelta, ignore_delta
from app.errors import RateLimited

UsageSink = Callable[[int], None]

usage_sink: ContextVar[UsageSink] = ContextVar("usage_sink", default=lambda _: None)
"""Called with the prompt and completion tokens of every model call in this context."""


class CountingEngine(EngineWrapper):
    """Reports the tokens of each call, cancelled ones included, to the context's `usage_sink`."""

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """See `Engine.complete`."""
        return await self._engine.complete(call, counting(on_delta))

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """See `Engine.score`."""
        return await self._engine.score(call, options, counting(on_delta))


def counting(on_delta: OnDelta) -> OnDelta:
    """`on_delta`, reporting the tokens to the context's `usage_sink` as well."""
    sink = usage_sink.get()

    def count(delta: Delta) -> None:
        if tokens := delta.prompt_tokens + delta.completion_tokens:
            sink(tokens)
        on_delta(delta)

    return count


BUSY_RETRY_SECONDS = 1

Headers = dict[str, str]


class Limiter:
    """Limits requests per minute, tokens per minute and concurrent searches of each key.

    Counts use a sliding window of a minute. The tokens of a request are known only after it was
    admitted, so they become a debt of the key that is repaid from the following windows. A key
    whose debt exceeds a window is rejected until it is repaid.
    """

    def __init__(self) -> None:
        self._window = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._owed: Counter[str] = Counter()
        self._running: defaultdict[str, int] = defaultdict(int)

    async def admit(self, key: Key) -> Headers:
        """Count one request; returns the headers with the remaining quota.

        Raises:
            RateLimited: the quota of requests or tokens is used up.
        """
        headers: Headers = {}
        await self.repay(key)
        if key.limits.tokens_per_minute is not None:
            tokens = RateLimitItemPerMinute(key.limits.tokens_per_minute)
            left, seconds = await self._left(tokens, "tokens", key)
            headers |= _headers("tokens", tokens.amount, left, seconds)
            if left <= 0 or self._owed[key.id]:
                raise _refused(key, f"{tokens.amount} tokens", self._wait(key, tokens, seconds))
        if key.limits.requests_per_minute is not None:
            requests = RateLimitItemPerMinute(key.limits.requests_per_minute)
            admitted = await self._window.hit(requests, "requests", key.id)
            left, seconds = await self._left(requests, "requests", key)
            headers |= _headers("requests", requests.amount, left, seconds)
            if not admitted:
                raise _refused(key, f"{requests.amount} requests", seconds)
        return headers

    @contextmanager
    def searching(self, key: Key) -> Iterator[None]:
        """Count a concurrent search during the block.

        Raises:
            RateLimited: the key already runs as many searches as it may.
        """
        limit = key.limits.searches
        if limit is not None and self._running[key.id] >= limit:
            raise RateLimited(
                f"the key {key.name!r} already runs {limit} searches at a time, its limit",
                retry_after=BUSY_RETRY_SECONDS,
            )
        self._running[key.id] += 1
        try:
            yield
        finally:
            self._running[key.id] -= 1

    def charge(self, key: Key, tokens: int) -> None:
        """Add the tokens of a model call to the debt of a key."""
        if key.limits.tokens_per_minute is not None:
            self._owed[key.id] += tokens

    async def repay(self, key: Key) -> None:
        """Repay the debt of a key, as far as the current window allows."""
        limit = key.limits.tokens_per_minute
        if limit is None or not self._owed[key.id]:
            return
        tokens = RateLimitItemPerMinute(limit)
        left, _ = await self._left(tokens, "tokens", key)
        paid = min(left, self._owed[key.id])
        # Subtracted first: another request may charge or repay during the next await.
        self._owed[key.id] -= paid
        if paid and not await self._window.hit(tokens, "tokens", key.id, cost=paid):
            self._owed[key.id] += paid

    async def _left(self, item: RateLimitItem, kind: str, key: Key) -> tuple[int, int]:
        """The remaining quota, and the seconds until it grows (at least 1)."""
        stats = await self._window.get_window_stats(item, kind, key.id)
        return stats.remaining, max(1, math.ceil(stats.reset_time - time.time()))

    def _wait(self, key: Key, tokens: RateLimitItem, seconds: int) -> int:
        """Seconds until the debt is repaid: each whole window of debt adds its length."""
        return seconds + self._owed[key.id] // tokens.amount * 60


def _headers(kind: str, limit: int, left: int, seconds: int) -> Headers:
    """Rate limit headers with OpenAI's names, which its clients read."""
    return {
        f"x-ratelimit-limit-{kind}": str(limit),
        f"x-ratelimit-remaining-{kind}": str(left),
        f"x-ratelimit-reset-{kind}": f"{seconds}s",
    }


def _refused(key: Key, what: str, seconds: int) -> RateLimited:
    return RateLimited(
        f"the key {key.name!r} has used its {what} per minute; try again in {seconds} s",
        retry_after=seconds,
    )

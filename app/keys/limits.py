"""What each key may use in a minute, and at a time; counted by this process alone."""

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

Spend = Callable[[int], None]


def _nobody(_: int) -> None:
    """Nobody pays."""


usage_sink: ContextVar[Spend] = ContextVar("usage_sink", default=_nobody)
"""Told the tokens of every model call made in this context, as they are read and written."""


class CountingEngine(EngineWrapper):
    """An engine that tells the context's `usage_sink` what each call costs, cancelled ones too."""

    async def complete(self, call: Call, on_delta: OnDelta = ignore_delta) -> Completion:
        """See `Engine.complete`."""
        return await self._engine.complete(call, counting(on_delta))

    async def score(
        self, call: Call, options: Sequence[str], on_delta: OnDelta = ignore_delta
    ) -> Mapping[str, float]:
        """See `Engine.score`."""
        return await self._engine.score(call, options, counting(on_delta))


def counting(on_delta: OnDelta) -> OnDelta:
    """The same, and the context's `usage_sink` is told as well."""
    spend = usage_sink.get()

    def count(delta: Delta) -> None:
        if tokens := delta.prompt_tokens + delta.completion_tokens:
            spend(tokens)
        on_delta(delta)

    return count


BUSY_RETRY_SECONDS = 1

Headers = dict[str, str]


class Limiter:
    """Counts requests, tokens and searches of each key.

    A minute slides: what was used counts less and less during the minute after. Tokens are known
    only once they are generated, so they are a debt, paid from the minutes that follow: who has
    used more than a minute's worth waits until it is paid off.
    """

    def __init__(self) -> None:
        self._window = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._owed: Counter[str] = Counter()
        self._running: defaultdict[str, int] = defaultdict(int)

    async def admit(self, key: Key) -> Headers:
        """Count one request; gives the headers that tell what is left.

        Raises `RateLimited`.
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
        """Count a search for as long as the block takes. Raises `RateLimited`."""
        limit = key.limits.searches
        if limit is not None and self._running[key.id] >= limit:
            raise RateLimited(
                f"the key {key.name!r} may run {limit} searches at a time, and runs as many"
                " already",
                retry_after=BUSY_RETRY_SECONDS,
            )
        self._running[key.id] += 1
        try:
            yield
        finally:
            self._running[key.id] -= 1

    def charge(self, key: Key, tokens: int) -> None:
        """Count tokens that a model has read or written for a key."""
        if key.limits.tokens_per_minute is not None:
            self._owed[key.id] += tokens

    async def repay(self, key: Key) -> None:
        """Take what a key owes from its minute, as far as there is something left of it."""
        limit = key.limits.tokens_per_minute
        if limit is None or not self._owed[key.id]:
            return
        tokens = RateLimitItemPerMinute(limit)
        left, _ = await self._left(tokens, "tokens", key)
        paid = min(left, self._owed[key.id])
        # Taken first: while the window is asked, more may be owed, or paid by another request.
        self._owed[key.id] -= paid
        if paid and not await self._window.hit(tokens, "tokens", key.id, cost=paid):
            self._owed[key.id] += paid

    async def _left(self, item: RateLimitItem, kind: str, key: Key) -> tuple[int, int]:
        """How much is left, and the seconds until there is more (at least 1)."""
        stats = await self._window.get_window_stats(item, kind, key.id)
        return stats.remaining, max(1, math.ceil(stats.reset_time - time.time()))

    def _wait(self, key: Key, tokens: RateLimitItem, seconds: int) -> int:
        """Whole minutes that are owed have to pass as well."""
        return seconds + self._owed[key.id] // tokens.amount * 60


def _headers(kind: str, limit: int, left: int, seconds: int) -> Headers:
    """In the words of OpenAI's server, which its clients know."""
    return {
        f"x-ratelimit-limit-{kind}": str(limit),
        f"x-ratelimit-remaining-{kind}": str(left),
        f"x-ratelimit-reset-{kind}": f"{seconds}s",
    }


def _refused(key: Key, what: str, seconds: int) -> RateLimited:
    return RateLimited(
        f"the key {key.name!r} may use {what} a minute, and has used them up; try again in"
        f" {seconds} s",
        retry_after=seconds,
    )

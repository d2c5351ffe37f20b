"""Rate limits and concurrency limits of a key."""

from typing import Any

import pytest

from app.api.authentication import Authorizer, Request
from app.domain.key import Key, KeyLimits, Scope
from app.errors import RateLimited
from app.keys.limits import Limiter
from tests.keys.conftest import Serve


class Clock:
    """A manual clock that starts at the beginning of a minute."""

    def __init__(self) -> None:
        self.now = 60_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in ("limits.aio.storage.memory", "limits.aio.strategies", "app.keys.limits"):
        monkeypatch.setattr(f"{module}.time", clock)
    return clock


def key(**limits: int) -> Key:
    return Key("id", "ann", frozenset({Scope.GENERATE}), "", KeyLimits(**limits))


async def admitted(limiter: Limiter, ann: Key) -> bool:
    try:
        await limiter.admit(ann)
    except RateLimited:
        return False
    return True


async def test_requests_of_a_minute_are_counted(clock: Clock) -> None:
    limiter, ann = Limiter(), key(requests_per_minute=3)
    assert [await admitted(limiter, ann) for _ in range(5)] == [True] * 3 + [False] * 2
    clock.now += 119
    assert [await admitted(limiter, ann) for _ in range(4)] == [True] * 3 + [False]


async def test_the_window_slides(clock: Clock) -> None:
    limiter, ann = Limiter(), key(requests_per_minute=6)
    clock.now += 59
    assert all([await admitted(limiter, ann) for _ in range(6)])
    clock.now += 2
    assert sum([await admitted(limiter, ann) for _ in range(6)]) == 1
    clock.now += 29
    assert sum([await admitted(limiter, ann) for _ in range(6)]) == 2


async def test_the_headers_have_the_remaining_quota(clock: Clock) -> None:
    limiter, ann = Limiter(), key(requests_per_minute=3, tokens_per_minute=100)
    limiter.charge(ann, 30)
    headers = await limiter.admit(ann)
    assert headers["x-ratelimit-limit-requests"] == "3"
    assert headers["x-ratelimit-remaining-requests"] == "2"
    assert headers["x-ratelimit-remaining-tokens"] == "70"
    assert 1 <= int(headers["x-ratelimit-reset-requests"].removesuffix("s")) <= 60


async def test_tokens_are_a_debt(clock: Clock) -> None:
    limiter, ann = Limiter(), key(tokens_per_minute=100)
    assert await admitted(limiter, ann)
    limiter.charge(ann, 250)
    with pytest.raises(RateLimited) as refused:
        await limiter.admit(ann)
    assert refused.value.retry_after is not None
    assert refused.value.retry_after > 60
    minutes = 0
    while not await admitted(limiter, ann):
        clock.now += 60
        minutes += 1
    assert 2 <= minutes <= 5
    clock.now += 120
    assert (await limiter.admit(ann))["x-ratelimit-remaining-tokens"] == "100"


async def test_keys_do_not_share_limits(clock: Clock) -> None:
    limiter, ann = Limiter(), key(requests_per_minute=1)
    bob = Key("other", "bob", ann.scopes, "", ann.limits)
    assert await admitted(limiter, ann)
    assert not await admitted(limiter, ann)
    assert await admitted(limiter, bob)


def test_searches_at_a_time_are_counted() -> None:
    limiter, ann = Limiter(), key(searches=2)
    with (
        limiter.searching(ann),
        limiter.searching(ann),
        pytest.raises(RateLimited, match="2 searches at a time"),
        limiter.searching(ann),
    ):
        pass
    with limiter.searching(ann):
        pass


async def test_a_key_without_limits_has_none() -> None:
    limiter, ann = Limiter(), key()
    limiter.charge(ann, 10**9)
    assert await limiter.admit(ann) == {}


async def test_a_limited_request_gets_429_with_retry_after(serve: Serve) -> None:
    async with serve(keys="required") as server:
        ann = await server.key(Scope.GENERATE, limits=KeyLimits(requests_per_minute=2))
        first, second, third = [await server.ask("/generate", ann) for _ in range(3)]
        assert (first.status_code, second.status_code, third.status_code) == (200, 200, 429)
        assert first.headers["x-ratelimit-remaining-requests"] == "1"
        assert third.json()["type"] == "rate_limited"
        assert 1 <= int(third.headers["retry-after"]) <= 60


BODIES: dict[str, dict[str, Any]] = {
    "/generate": {"prompt": "Name a river.", "mode": "best_of_n"},
    "/judge": {"prompt": "Name a river.", "response": "The Rhine."},
    "/v1/chat/completions": {
        "model": "actor",
        "messages": [{"role": "user", "content": "Name a river."}],
    },
}


@pytest.mark.parametrize(
    ("path", "stream"),
    # Judgments are not streamed.
    [
        (path, stream)
        for path in BODIES
        for stream in (False, True)
        if path != "/judge" or not stream
    ],
)
async def test_prompt_and_completion_tokens_are_charged(
    serve: Serve, path: str, stream: bool
) -> None:
    async with serve(keys="required") as server:
        limits = KeyLimits(tokens_per_minute=1_000_000)
        ann = await server.key(Scope.GENERATE, Scope.JUDGE, limits=limits)
        body = BODIES[path] | ({"stream": True} if stream else {})
        answer = await server.client.post(path, json=body, headers={"authorization": ann})
        assert answer.status_code == 200
        left = await server.ask("/constraints", ann, method="GET")
        spent = 1_000_000 - int(left.headers["x-ratelimit-remaining-tokens"])
        assert spent > 0
        if not stream:
            usage = answer.json()["usage"]
            assert spent == usage["prompt_tokens"] + usage["completion_tokens"]


async def test_searches_at_a_time_are_counted_until_they_end(serve: Serve) -> None:
    async with serve(keys="required") as server:
        ann = await server.key(Scope.GENERATE, limits=KeyLimits(searches=1))
        authorizer: Authorizer = server.app.state.authorizer
        running = Request("POST", "/generate", {"authorization": ann}, None)
        async with authorizer.visit(running):
            refused = await server.ask("/generate", ann)
            assert refused.status_code == 429
            assert refused.headers["retry-after"] == "1"
            assert (await server.ask("/constraints", ann, method="GET")).status_code == 200
        assert (await server.ask("/generate", ann)).status_code == 200

"""Racing, gathering, bounded mapping and retrying: results, errors, cancellation."""

import asyncio
import itertools

import pytest

from app.concurrency import backoff, bounded_map, gather_or_cancel, race, retry


class Broken(Exception):
    """What fails in these tests."""


class Work:
    """Coroutines that never end, and which of them were cancelled."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    async def forever(self, name: str = "forever") -> str:
        try:
            return await asyncio.Future()
        finally:
            self.cancelled.append(name)


async def value(result: str) -> str:
    return result


async def fail() -> str:
    await asyncio.sleep(0)
    raise Broken


async def test_race_returns_the_first_result_and_cancels_the_rest() -> None:
    work = Work()
    assert await race(work.forever("a"), value("b"), work.forever("c")) == "b"
    assert work.cancelled == ["a", "c"]


async def test_race_prefers_the_first_argument_when_both_have_finished() -> None:
    assert await race(value("a"), value("b")) == "a"


async def test_race_raises_the_winners_error() -> None:
    work = Work()
    with pytest.raises(Broken):
        await race(work.forever(), fail())
    assert work.cancelled == ["forever"]


async def test_a_cancelled_race_cancels_every_contender() -> None:
    work = Work()
    racing = asyncio.create_task(race(work.forever("a"), work.forever("b")))
    await asyncio.sleep(0.01)
    racing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await racing
    assert work.cancelled == ["a", "b"]


async def test_gather_returns_results_in_order() -> None:
    assert await gather_or_cancel(value("a"), value("b")) == ["a", "b"]


async def test_the_first_error_cancels_what_is_gathered() -> None:
    work = Work()
    with pytest.raises(Broken):
        await gather_or_cancel(work.forever("a"), fail(), work.forever("b"))
    assert work.cancelled == ["a", "b"]


@pytest.mark.parametrize("at_once", [1, 3, 20])
async def test_bounded_map_handles_every_item_once_within_the_bound(at_once: int) -> None:
    running, peak, done = 0, 0, list[int]()

    async def work(number: int) -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await asyncio.sleep(0)
        running -= 1
        done.append(number)

    await bounded_map(range(10), work, at_once)
    assert sorted(done) == list(range(10))
    assert peak == min(at_once, 10)


async def test_the_first_error_ends_a_bounded_map() -> None:
    work = Work()

    async def one(number: int) -> None:
        await (fail() if number == 1 else work.forever(str(number)))

    with pytest.raises(Broken):
        await bounded_map(range(5), one, 2)
    assert work.cancelled == ["0"]


def test_backoff_doubles_up_to_the_longest_pause() -> None:
    assert list(itertools.islice(backoff(1, 5), 5)) == [1, 2, 4, 5, 5]


class Failing:
    """Fails a number of times, then returns; `attempts` counts the calls."""

    def __init__(self, times: int, error: Exception | None = None) -> None:
        self.attempts = 0
        self._times, self._error = times, error or Broken()

    async def __call__(self) -> str:
        self.attempts += 1
        if self.attempts <= self._times:
            raise self._error
        return "done"


async def test_retry_returns_what_succeeds_at_last() -> None:
    failing = Failing(3)
    assert await retry(failing, Broken, [0, 0, 0]) == "done"
    assert failing.attempts == 4


async def test_retry_raises_when_the_pauses_are_used_up() -> None:
    failing = Failing(3)
    with pytest.raises(Broken):
        await retry(failing, Broken, [0, 0])
    assert failing.attempts == 3


async def test_retry_raises_other_errors_at_once() -> None:
    failing = Failing(1, ValueError("other"))
    with pytest.raises(ValueError, match="other"):
        await retry(failing, Broken, backoff(0, 0))
    assert failing.attempts == 1


async def test_retry_does_not_pause_past_the_limit() -> None:
    failing = Failing(3)
    with pytest.raises(Broken):
        await retry(failing, Broken, [0, 3600], within=60)
    assert failing.attempts == 2


async def test_the_limit_counts_from_the_first_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr("app.concurrency.time.monotonic", lambda: now)
    failing = Failing(1)

    async def slow() -> str:
        nonlocal now
        now += 1000
        return await failing()

    assert await retry(slow, Broken, [0], within=1) == "done"


async def test_a_failure_decides_about_the_pause_and_may_end_the_retries() -> None:
    failing, planned = Failing(9), list[float]()

    def on_failure(error: Broken, pause: float) -> float:
        planned.append(pause)
        if len(planned) == 3:
            raise error
        return 0

    with pytest.raises(Broken):
        await retry(failing, Broken, backoff(100, 300), on_failure=on_failure)
    assert planned == [100, 200, 300]


async def test_retry_can_be_cancelled_while_it_pauses() -> None:
    failing = Failing(9)
    retrying = asyncio.create_task(retry(failing, Broken, [3600]))
    await asyncio.sleep(0.01)
    retrying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await retrying
    assert failing.attempts == 1

"""Structured concurrency for asyncio: racing, gathering, bounded mapping and retrying."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
Failure = TypeVar("Failure", bound=Exception)


async def cancel_and_wait(*tasks: asyncio.Future[Any]) -> None:
    """Cancel the tasks and wait until all have ended; their errors are discarded."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def race(*contenders: Awaitable[Result]) -> Result:
    """Return the result of the contender that finishes first, and cancel the others.

    If several have finished, the first argument wins. The others have ended on return.

    Raises:
        Exception: the winner's error.
    """
    tasks = [asyncio.ensure_future(contender) for contender in contenders]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in tasks if task.done()).result()
    finally:
        await cancel_and_wait(*tasks)


async def gather_or_cancel(*works: Awaitable[Result]) -> list[Result]:
    """Run all concurrently and return their results in order.

    Raises:
        Exception: the first error; the others have been cancelled and have ended.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await cancel_and_wait(*tasks)


async def bounded_map(
    items: Iterable[Item], work: Callable[[Item], Awaitable[object]], at_once: int
) -> None:
    """Await `work` for every item, started in order, at most `at_once` concurrently.

    Raises:
        Exception: the first error; work in progress has been cancelled and has ended.
    """
    remaining = iter(items)

    async def consume() -> None:
        for item in remaining:
            await work(item)

    await gather_or_cancel(*(consume() for _ in range(at_once)))


def backoff(first: float, longest: float) -> Iterator[float]:
    """Infinite exponential backoff in seconds: `first`, then doubled each time up to `longest`."""
    pause = first
    while True:
        yield pause
        pause = min(2 * pause, longest)


async def retry(
    attempt: Callable[[], Awaitable[Result]],
    on: type[Failure],
    pauses: Iterable[float],
    *,
    within: float = math.inf,
    on_failure: Callable[[Failure, float], float] = lambda _, pause: pause,
) -> Result:
    """Await `attempt()` until it succeeds.

    Args:
        attempt: Called for every attempt.
        on: The errors after which another attempt is made; all others are raised.
        pauses: Seconds between attempts; after the last pause, one final attempt is made.
        within: Seconds after the first failure within which the next attempt must start.
        on_failure: Called with each error and the next pause; returns the pause to use, for
            example the server's `Retry-After`. It may raise to stop retrying.

    Raises:
        Exception: the last attempt's error, or any that is not an `on`.
    """
    deadline: float | None = None
    for planned in pauses:
        try:
            return await attempt()
        except on as error:
            pause = on_failure(error, planned)
            now = time.monotonic()
            deadline = now + within if deadline is None else deadline
            if now + pause > deadline:
                raise
        await asyncio.sleep(pause)
    return await attempt()

"""Work on many things at once, but no more than so many."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar

Thing = TypeVar("Thing")


async def together(
    things: Iterable[Thing], work: Callable[[Thing], Awaitable[None]], at_once: int
) -> None:
    """Do the work of every thing, begun in their order.

    The first error ends it, and raises: work under way is given up.
    """
    waiting = iter(things)

    async def take(some: Iterator[Thing]) -> None:
        for thing in some:
            await work(thing)

    try:
        async with asyncio.TaskGroup() as group:
            for _ in range(at_once):
                group.create_task(take(waiting))
    except BaseExceptionGroup as errors:
        # They have one cause, mostly: the server is gone for all of them.
        raise first_error(errors) from None


def first_error(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    """The first error of a group that is not a group itself."""
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error

"""Work that must not outlive what is watched beside it."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

Result = TypeVar("Result")


async def watched(work: Awaitable[Result], watch: Awaitable[Result]) -> Result:
    """The result of the first of the two to end, or what it raised; the other is cancelled."""
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(watch)
    both = {working, watching}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        first = working if working.done() else watching
    finally:
        for task in both:
            task.cancel()
        await asyncio.gather(*both, return_exceptions=True)
    return first.result()

"""Polling with a timeout."""

import asyncio
from collections.abc import Callable

POLL_SECONDS = 0.1


async def until(condition: Callable[[], object], seconds: float) -> bool:
    """Poll until the condition holds; False after `seconds`."""
    end = asyncio.get_running_loop().time() + seconds
    while True:
        if condition():
            return True
        if asyncio.get_running_loop().time() >= end:
            return False
        await asyncio.sleep(POLL_SECONDS)

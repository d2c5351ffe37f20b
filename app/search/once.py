"""Share one piece of work between everybody who asks for the same thing."""

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

Result = TypeVar("Result")


@dataclass(slots=True)
class _Shared(Generic[Result]):
    task: asyncio.Task[Result]
    waiters: int = 0


class Once(Generic[Result]):
    """Runs the work of each key once, as long as somebody still waits for it.

    A result is kept, an error is not: who asks after it has failed has the work done again.
    """

    def __init__(self) -> None:
        self._shared: dict[Hashable, _Shared[Result]] = {}

    async def get(self, key: Hashable, work: Callable[[], Coroutine[Any, Any, Result]]) -> Result:
        """The result of `work` for `key`, started by the first who asks.

        When every waiter is cancelled the work is cancelled too.
        """
        if key not in self._shared:
            self._shared[key] = _Shared(asyncio.create_task(work()))
        shared = self._shared[key]
        shared.waiters += 1
        try:
            return await asyncio.shield(shared.task)
        except Exception:
            if self._shared.get(key) is shared:
                del self._shared[key]
            raise
        finally:
            shared.waiters -= 1
            if shared.waiters == 0 and not shared.task.done():
                del self._shared[key]
                shared.task.cancel()
                await asyncio.wait({shared.task})

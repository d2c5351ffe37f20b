"""A pool of processes that survives timeouts, cancellation and the death of its processes."""

import asyncio
import multiprocessing
from collections.abc import Callable
from concurrent.futures.process import BrokenProcessPool
from typing import NoReturn, ParamSpec, TypeVar

from pebble import ProcessExpired, ProcessPool

from app.concurrency import race

P = ParamSpec("P")
T = TypeVar("T")

_POLL_SECONDS = 1.0


class Workers:
    """Runs functions in `processes` processes, each started with `initializer`.

    A function that takes longer than `seconds` is killed with its process.
    """

    def __init__(self, processes: int, seconds: float, initializer: Callable[[], None]) -> None:
        self._processes = processes
        self._seconds = seconds
        self._initializer = initializer
        self._closed = False
        self._pool = self._new_pool()
        self._retired: set[asyncio.Task[None]] = set()

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call an importable function in a process and return its result.

        A process that dies under it is replaced and the call is tried once more. Cancelling
        the call ends it, with its process if it has begun. Raises TimeoutError when the time is
        up, ProcessExpired or BrokenProcessPool when the process died twice, RuntimeError after
        `close`, and what `function` raises.
        """
        try:
            return await self._run_once(function, *args, **kwargs)
        except (ProcessExpired, BrokenProcessPool):
            return await self._run_once(function, *args, **kwargs)

    async def close(self) -> None:
        """End all processes; calls under way fail. Nothing can be run afterwards."""
        self._closed = True
        await asyncio.to_thread(_stop, self._pool)
        await asyncio.gather(*self._retired)

    async def _run_once(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        pool = self._working_pool()
        future = asyncio.wrap_future(pool.schedule(function, args, kwargs, timeout=self._seconds))
        return await race(future, _raise_when_broken(pool))

    def _working_pool(self) -> ProcessPool:
        if self._closed:
            raise RuntimeError("The checking processes are stopped.")
        if not self._pool.active:  # pebble gives up a pool when one of its idle processes dies
            retired = asyncio.create_task(asyncio.to_thread(_stop, self._pool))
            self._retired.add(retired)
            retired.add_done_callback(self._retired.discard)
            self._pool = self._new_pool()
        return self._pool

    def _new_pool(self) -> ProcessPool:
        spawn = multiprocessing.get_context("spawn")
        return ProcessPool(self._processes, initializer=self._initializer, context=spawn)


async def _raise_when_broken(pool: ProcessPool) -> NoReturn:
    """A pool that breaks just when it is given a call forgets that call."""
    while True:
        await asyncio.sleep(_POLL_SECONDS)
        if not pool.active:
            raise BrokenProcessPool("The checking processes ended.")


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()

"""Checks the constraints of a prompt on a response, and whether it is a copy of the prompt.

The checks run in separate processes, with a time limit. Only those processes import the
verifier library: it is slow to import, large, and changes modules for its whole process.
"""

import asyncio
import logging
import multiprocessing
import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, ParamSpec, TypeVar

from pebble import ProcessExpired, ProcessPool

from app.constraints import pattern
from app.constraints.catalogue import KINDS, given, validate
from app.constraints.copying import copies_prompt
from app.constraints.kinds import EMPTY_RESPONSE, Verdict
from app.domain.judgment import ConstraintResult
from app.domain.prompt import Constraint, Prompt

P = ParamSpec("P")
T = TypeVar("T")

COPY_ID = "spar:not_a_copy"
_COPY_MESSAGE = "the response only repeats the prompt; it has to answer it"
_SHORT_TEXT = 8_000  # characters that are compared here in less time than a process takes
_GRACE_SECONDS = 0.5
_POLL_SECONDS = 1.0

log = logging.getLogger(__name__)


def start_process() -> None:
    """Prepare a checking process: load the library once, before the first check.

    A process that is stuck inside a C function never gets to pebble's Python signal handler, so
    SIGTERM gets its default action back.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    from app.constraints.verify import warm_up

    warm_up()


def _verify(constraint_id: str, kwargs: Mapping[str, Any], text: str, seconds: float) -> Verdict:
    """See `verify`, which is imported here because it imports the library."""
    from app.constraints.verify import verify

    return verify(constraint_id, kwargs, text, seconds)


class Workers:
    """A pool of processes that survives timeouts, cancellation and the death of its processes.

    processes: how many; each is started with `initializer`.
    seconds: a function that takes longer is killed with its process.
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

        A process that dies during the call is replaced and the call is tried once more.
        Cancelling the call ends it, with its process if it has begun.

        Raises:
            TimeoutError: the time is up.
            ProcessExpired, BrokenProcessPool: the process died twice.
            RuntimeError: after `close`.
            Exception: what `function` raises.
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
        if self._closed:
            raise RuntimeError("The checking processes are stopped.")
        if not self._pool.active:  # pebble stops a pool when one of its idle processes dies
            retired = asyncio.create_task(asyncio.to_thread(_stop, self._pool))
            self._retired.add(retired)
            retired.add_done_callback(self._retired.discard)
            self._pool = self._new_pool()
        pool = self._pool
        future = asyncio.wrap_future(pool.schedule(function, args, kwargs, timeout=self._seconds))
        try:
            # A pool that breaks while a call is submitted loses that call.
            while not (await asyncio.wait({future}, timeout=_POLL_SECONDS))[0]:
                if not pool.active:
                    raise BrokenProcessPool("The checking processes ended.")
            return future.result()
        finally:
            future.cancel()

    def _new_pool(self) -> ProcessPool:
        spawn = multiprocessing.get_context("spawn")
        return ProcessPool(self._processes, initializer=self._initializer, context=spawn)


def _stop(pool: ProcessPool) -> None:
    pool.stop()  # type: ignore[no-untyped-call]
    pool.join()


class Checker:
    """Checks responses in `processes` processes; one check may take `seconds`."""

    def __init__(self, processes: int, seconds: float) -> None:
        self._seconds = seconds
        # A pattern's own timeout is `seconds`; the process is killed only if that fails.
        self._workers = Workers(processes, seconds + _GRACE_SECONDS, start_process)

    async def start(self) -> None:
        """Start the processes, so that the first check does not wait for them."""
        await self._workers.run(copies_prompt, "", "")

    async def close(self) -> None:
        """End the processes; checks under way fail."""
        await self._workers.close()

    def validate(self, constraints: Sequence[Constraint], field: str = "constraints") -> None:
        """See `app.constraints.catalogue.validate`."""
        validate(constraints, field)

    async def check(self, prompt: Prompt, response: str) -> tuple[ConstraintResult, ...]:
        """One result per constraint, in order, and one more if the response copies the prompt.

        A crash of a checker, a check that takes too long and an empty response are results that
        are not satisfied; no response raises. Cancelling ends the checks under way.
        """
        if not response.strip():
            return tuple(_result(constraint, EMPTY_RESPONSE) for constraint in prompt.constraints)
        async with asyncio.TaskGroup() as group:
            checks = [group.create_task(self._check(c, response)) for c in prompt.constraints]
            copied = group.create_task(self._copies(prompt.instruction, response))
        results = [task.result() for task in checks]
        if copied.result():
            results.append(ConstraintResult(COPY_ID, {}, False, _COPY_MESSAGE))
        return tuple(results)

    async def _check(self, constraint: Constraint, response: str) -> ConstraintResult:
        return _result(constraint, await self._verdict(constraint, response))

    async def _verdict(self, constraint: Constraint, response: str) -> Verdict:
        if constraint.id not in KINDS:
            return Verdict(False, f'there is no constraint "{constraint.id}"')
        kwargs = given(constraint.kwargs)
        try:
            return await self._workers.run(_verify, constraint.id, kwargs, response, self._seconds)
        except TimeoutError:
            what = "pattern" if constraint.id == pattern.KIND.id else "check"
            return Verdict(False, f"the {what} took longer than {self._seconds:g} s")
        except Exception as error:  # the library's checkers raise anything on unexpected text
            # Neither its message nor its traceback: they may contain the response.
            log.warning("checking %s failed (%s)", constraint.id, type(error).__name__)
            return Verdict(False, f"the checker failed on this response ({type(error).__name__})")

    async def _copies(self, instruction: str, response: str) -> bool:
        if len(instruction) + len(response) <= _SHORT_TEXT:
            return copies_prompt(instruction, response)
        try:
            return await self._workers.run(copies_prompt, instruction, response)
        except TimeoutError:
            log.warning("comparing a response of %d characters took too long", len(response))
        except (ProcessExpired, BrokenProcessPool) as error:
            log.warning("comparing a response of %d characters failed: %s", len(response), error)
        return False


def _result(constraint: Constraint, verdict: Verdict) -> ConstraintResult:
    return ConstraintResult(constraint.id, constraint.kwargs, verdict.satisfied, verdict.message)

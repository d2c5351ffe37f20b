"""Checks the constraints of a prompt on a response, and whether it is a copy of the prompt."""

import asyncio
import logging
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool

from pebble import ProcessExpired

from app.constraints import pattern, worker
from app.constraints.catalogue import KINDS, given, validate
from app.constraints.copying import copies_prompt
from app.constraints.kinds import EMPTY_RESPONSE, Verdict
from app.constraints.workers import Workers
from app.domain.judgment import ConstraintResult
from app.domain.prompt import Constraint, Prompt

COPY_ID = "spar:not_a_copy"
_COPY_MESSAGE = "the response only repeats the prompt; it has to answer it"
_SHORT_TEXT = 8_000
_GRACE_SECONDS = 0.5

log = logging.getLogger(__name__)


class Checker:
    """Checks responses in `processes` processes; one check may take `seconds`."""

    def __init__(self, processes: int, seconds: float) -> None:
        self._seconds = seconds
        # A pattern stops by itself after `seconds`; only what does not is killed.
        self._workers = Workers(processes, seconds + _GRACE_SECONDS, worker.start)

    async def start(self) -> None:
        """Start the processes, so that the first check finds them warm."""
        await self._workers.run(copies_prompt, "", "")

    async def close(self) -> None:
        """End the processes; checks under way fail."""
        await self._workers.close()

    def validate(self, constraints: Sequence[Constraint], field: str = "constraints") -> None:
        """Raise InvalidRequest for the first constraint that cannot be checked as written.

        `field` names the place of the constraints in the request, for the error.
        """
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
            return await self._workers.run(
                worker.check, constraint.id, kwargs, response, self._seconds
            )
        except TimeoutError:
            what = "pattern" if constraint.id == pattern.KIND.id else "check"
            return Verdict(False, f"the {what} took longer than {self._seconds:g} s")
        except Exception as error:  # the library's checkers raise anything on text they dislike
            # Neither its words nor its traceback: they may hold the response.
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

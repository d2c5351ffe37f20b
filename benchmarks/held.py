"""An iteration of a running server that goes on and stands still as a benchmark wants."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from app.domain.iteration import Status
from benchmarks.phases import TRAINED, Phase, conversations, prompts

LONGEST_WAIT_SECONDS = 600.0
SETTLE_SECONDS = 3.0
"""From the phase's beginning until as many calls are under way as are let in, and from its end
until none is."""


class HeldIteration:
    """One iteration in one phase. It is queued once, and then cancelled and resumed.

    Raises RuntimeError when the iteration ends by itself, leaves the phase or does not reach
    it, and httpx's errors.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        phase: Phase,
        *,
        settle_seconds: float = SETTLE_SECONDS,
        poll_seconds: float = 0.5,
    ) -> None:
        self._client = client
        self._phase = phase
        self._settle_seconds = settle_seconds
        self._poll_seconds = poll_seconds
        self._id: str | None = None

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[None]:
        """The iteration is in its phase for the whole block, and stands still after it."""
        steps = await self._go_on()
        try:
            await self._until(lambda: self._under_way(steps))
            await asyncio.sleep(self._settle_seconds)
            yield
            if not _in_phase(await self._iteration(), self._phase):
                raise RuntimeError(f"{self._phase} was over too early; measure fewer rounds")
        finally:
            await self._stand_still()

    async def _go_on(self) -> Any:
        """Queue or resume; gives the training steps of before."""
        if self._id is None:
            await self._post("/admin/prompts", {"prompts": prompts()})
            await self._post("/admin/conversations", {"conversations": conversations()})
            self._id = (await self._post("/admin/iterations", self._phase.body))["id"]
            return []
        steps = await self._steps()
        await self._post(f"{self._path}/resume")
        return steps

    async def _stand_still(self) -> None:
        """Cancel, and wait until the worker has stopped and its last calls are aborted."""
        response = await self._client.post(f"{self._path}/cancel")
        if response.status_code != httpx.codes.CONFLICT:  # it has ended by itself
            response.raise_for_status()
        await self._until(self._has_ended)
        await asyncio.sleep(self._settle_seconds)

    async def _under_way(self, steps_before: Any) -> bool:
        """Whether it is in the phase; a training must also have made a new step."""
        iteration = await self._iteration()
        if _status(iteration).final:
            raise RuntimeError(f"the iteration is {iteration['status']}: {iteration['error']}")
        if not _in_phase(iteration, self._phase):
            return False
        return self._phase is not Phase.TRAIN or bool(await self._steps() != steps_before)

    async def _has_ended(self) -> bool:
        return _status(await self._iteration()).final

    async def _until(self, condition: Callable[[], Awaitable[bool]]) -> None:
        try:
            async with asyncio.timeout(LONGEST_WAIT_SECONDS):
                while not await condition():  # noqa: ASYNC110 - the server's event, not ours
                    await asyncio.sleep(self._poll_seconds)
        except TimeoutError as error:
            raise RuntimeError(f"{self._phase}: nothing for {LONGEST_WAIT_SECONDS} s") from error

    async def _iteration(self) -> dict[str, Any]:
        return await self._get(self._path)

    async def _steps(self) -> Any:
        """The training's steps so far; one that is done again has another time."""
        return (await self._get(f"{self._path}/steps?role={TRAINED}"))["steps"]

    async def _get(self, path: str) -> dict[str, Any]:
        return _content(await self._client.get(path))

    async def _post(self, path: str, body: Any = None) -> dict[str, Any]:
        return _content(await self._client.post(path, json=body))

    @property
    def _path(self) -> str:
        return f"/admin/iterations/{self._id}"


def _status(iteration: dict[str, Any]) -> Status:
    return Status(str(iteration["status"]))


def _in_phase(iteration: dict[str, Any], phase: Phase) -> bool:
    """Whether an iteration as `/admin/iterations/{id}` gives it is at work in a phase."""
    stages = {stage["name"]: stage["status"] for stage in iteration["stages"]}
    states = {str(iteration["status"]), str(stages[phase.stage])}
    return states == {Status.RUNNING} and str(iteration["stage"]) == phase.stage


def _content(response: httpx.Response) -> dict[str, Any]:
    response.raise_for_status()
    content: dict[str, Any] = response.json()
    return content

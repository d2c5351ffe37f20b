"""An iteration as server-sent events: the database is asked again and again what is new."""

from collections.abc import AsyncGenerator

import anyio
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from sse_starlette import ServerSentEvent

from app.api.admin.render import find_iteration, step_out, whole_iteration
from app.api.admin.schemas import IterationOut, StepOut
from app.api.problems import problem
from app.db.iterations import SampleRepository
from app.db.session import Database
from app.domain.checkpoint import Role
from app.errors import DatabaseError, NotFound

POLL_SECONDS = 0.5

_BEFORE_ALL = -1


async def iteration_events(
    database: Database,
    iteration_id: str,
    stopping: anyio.Event,
    *,
    poll_seconds: float = POLL_SECONDS,
) -> AsyncGenerator[ServerSentEvent, None]:
    """New training steps and changes of the iteration, until it has ended, or the server stops.

    An `error` event ends them when the database cannot be read.
    """
    shown: IterationOut | None = None
    reached = dict.fromkeys(Role, _BEFORE_ALL)
    while not (stopping.is_set() or (shown and shown.status.final)):
        try:
            async with database.session() as session:
                steps = await _new_steps(session, iteration_id, reached)
                stored = await find_iteration(session, iteration_id)
                iteration = await whole_iteration(session, stored)
        except (DatabaseError, NotFound) as error:
            yield _event("error", problem(error))
            return
        for step in steps:
            reached[step.role] = step.step
            yield _event("step", step)
        if iteration != shown:
            yield _event("iteration", iteration)
        shown = iteration
        with anyio.move_on_after(0 if iteration.status.final else poll_seconds):
            await stopping.wait()


async def _new_steps(
    session: AsyncSession, iteration_id: str, reached: dict[Role, int]
) -> list[StepOut]:
    samples = SampleRepository(session, iteration_id)
    return [
        step_out(role, step)
        for role in Role
        for step in await samples.steps(role, after=reached[role])
    ]


def _event(name: str, data: BaseModel) -> ServerSentEvent:
    return ServerSentEvent(data.model_dump_json(), event=name)

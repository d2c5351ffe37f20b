"""`/admin/iterations`: queue, follow, cancel and resume iterations; read their data."""

from collections.abc import AsyncGenerator
from typing import Annotated

import anyio
from fastapi import APIRouter, Header, Path, Query, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from sqlalchemy.ext.asyncio import AsyncSession
from sse_starlette import EventSourceResponse, ServerSentEvent

from app.api.admin.render import (
    find_iteration,
    iteration_out,
    sample_out,
    step_out,
    whole_iteration,
)
from app.api.admin.schemas import (
    Cursor,
    IterationIn,
    IterationOut,
    IterationPageOut,
    SamplePageOut,
    StepOut,
    StepsOut,
    UlidText,
)
from app.api.deps import ServicesDep
from app.api.problems import problem
from app.db.checkpoints import CheckpointRepository
from app.db.iterations import IterationRepository, NewIteration, SampleRepository, StoredIteration
from app.db.session import Database
from app.domain.checkpoint import Role
from app.domain.iteration import IterationOptions, UnknownOption, options_for
from app.errors import Conflict, DatabaseError, InvalidRequest, NotFound

router = APIRouter(prefix="/admin/iterations", tags=["iterations"])

POLL_SECONDS = 0.5

IterationId = Annotated[UlidText, Path()]
Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        description="A repeated key returns the same iteration and queues nothing.",
    ),
]


@router.post("", status_code=202)
async def queue_iteration(
    body: IterationIn, response: Response, services: ServicesDep, key: Key = None
) -> IterationOut:
    """Queue an iteration; a worker claims it after those queued before."""
    new = NewIteration(body.preset, _options(body), body.promote, body.kind, key)
    async with services.database.session() as session:
        stored = await find_iteration(session, await IterationRepository(session).add(new))
        if not _same(stored, new):
            raise InvalidRequest(
                "this Idempotency-Key was used before with another body", field="Idempotency-Key"
            )
        result = await whole_iteration(session, stored)
    response.headers["Location"] = f"/admin/iterations/{stored.id}"
    return result


@router.get("")
async def list_iterations(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=200, description="Iterations per page.")] = 20,
    cursor: Cursor = None,
) -> IterationPageOut:
    """Iterations, newest first."""
    async with services.database.session() as session:
        page, next_cursor = await IterationRepository(session).page(limit, cursor)
        trained = await CheckpointRepository(session).of_iterations([one.id for one in page])
    return IterationPageOut(
        iterations=[iteration_out(one, trained) for one in page], next_cursor=next_cursor
    )


@router.get("/{iteration_id}")
async def get_iteration(iteration_id: IterationId, services: ServicesDep) -> IterationOut:
    """One iteration with its stages."""
    async with services.database.session() as session:
        return await whole_iteration(session, await find_iteration(session, iteration_id))


@router.get(
    "/{iteration_id}/events",
    response_class=EventSourceResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def follow_iteration(iteration_id: IterationId, services: ServicesDep) -> EventSourceResponse:
    """An iteration as server-sent events, until it ends.

    `iteration` has the whole iteration, at first and after every change; `step` has one training
    step, past ones included; `error` ends the stream.
    """
    async with services.database.session() as session:
        await find_iteration(session, iteration_id)
    stopping = anyio.Event()
    return EventSourceResponse(
        iteration_events(services.database, iteration_id, stopping),
        ping=services.settings.heartbeat_seconds,
        shutdown_event=stopping,
        shutdown_grace_period=services.settings.shutdown_seconds,
        sep="\n",
    )


async def iteration_events(
    database: Database,
    iteration_id: str,
    stopping: anyio.Event,
    *,
    poll_seconds: float = POLL_SECONDS,
) -> AsyncGenerator[ServerSentEvent, None]:
    """New training steps and changes of the iteration, until it ends or the server stops.

    The database is polled. If it cannot be read, an `error` event ends the stream.
    """
    shown: IterationOut | None = None
    reached = dict.fromkeys(Role, -1)
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


@router.post("/{iteration_id}/cancel", status_code=202)
async def cancel_iteration(iteration_id: IterationId, services: ServicesDep) -> IterationOut:
    """Cancel an iteration: at once if queued, soon if running. It can be resumed."""
    async with services.database.session() as session:
        cancelled = await IterationRepository(session).request_cancel(iteration_id)
        stored = await find_iteration(session, iteration_id)
        if not cancelled:
            raise Conflict(f"the iteration has already ended: it is {stored.status}")
        return await whole_iteration(session, stored)


@router.post("/{iteration_id}/resume", status_code=202)
async def resume_iteration(iteration_id: IterationId, services: ServicesDep) -> IterationOut:
    """Queue a failed or cancelled iteration again; finished stages are not repeated."""
    async with services.database.session() as session:
        resumed = await IterationRepository(session).resume(iteration_id)
        stored = await find_iteration(session, iteration_id)
        if not resumed:
            raise Conflict(
                f"only a failed or cancelled iteration can be resumed; this one is {stored.status}"
            )
        return await whole_iteration(session, stored)


@router.get("/{iteration_id}/samples")
async def list_samples(
    iteration_id: IterationId,
    services: ServicesDep,
    role: Annotated[Role, Query(description="The role that is trained on it.")],
    limit: Annotated[int, Query(ge=1, le=500, description="Samples per page.")] = 50,
    cursor: Annotated[
        int, Query(ge=-1, le=2**31 - 1, description="`next_cursor` of the previous page.")
    ] = -1,
) -> SamplePageOut:
    """The training data of a role, in TRL's formats."""
    async with services.database.session() as session:
        await find_iteration(session, iteration_id)
        samples = SampleRepository(session, iteration_id)
        found = await samples.samples(role, limit=limit + 1, after=cursor)
    page = [sample_out(sample, cursor + 1 + index) for index, sample in enumerate(found[:limit])]
    more = len(found) > limit
    return SamplePageOut(samples=page, next_cursor=page[-1].position if more else None)


@router.get("/{iteration_id}/steps")
async def list_steps(
    iteration_id: IterationId,
    services: ServicesDep,
    role: Annotated[Role, Query(description="The trained role.")],
) -> StepsOut:
    """Training metrics of each step: loss, and for the actor reward margin and accuracy."""
    async with services.database.session() as session:
        await find_iteration(session, iteration_id)
        steps = await SampleRepository(session, iteration_id).steps(role)
    return StepsOut(steps=[step_out(role, step) for step in steps])


def _options(body: IterationIn) -> IterationOptions:
    """The preset with its overrides.

    Raises:
        InvalidRequest: the preset is unknown.
        RequestValidationError: an override is invalid; names the field.
    """
    try:
        return options_for(body.preset, body.overrides)
    except UnknownOption as error:
        raise InvalidRequest(str(error), field="preset") from error
    except ValidationError as error:
        problems = error.errors(include_url=False)
        raise RequestValidationError(
            [problem | {"loc": ("body", "overrides", *problem["loc"])} for problem in problems]
        ) from error


def _same(stored: StoredIteration, new: NewIteration) -> bool:
    return (stored.preset, stored.options, stored.promote, stored.kind) == (
        new.preset,
        new.options,
        new.promote,
        new.kind,
    )

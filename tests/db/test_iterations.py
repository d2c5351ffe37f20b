"""Stored iterations and the transitions of their status."""

from datetime import datetime

import pytest

from app.db.iterations import IterationRepository, NewIteration, StoredIteration
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.domain.iteration import PRESETS, STAGES, IterationKind, Policy, Stage, Status, options_for

MICRO = NewIteration("micro", PRESETS["micro"])
SERVING = Versions(2, 3)


async def add(database: Database, new: NewIteration = MICRO) -> str:
    async with database.session() as session:
        return await IterationRepository(session).add(new)


async def get(database: Database, iteration_id: str) -> StoredIteration:
    async with database.session() as session:
        found = await IterationRepository(session).get(iteration_id)
    assert found is not None
    return found


async def next_id(database: Database) -> str | None:
    async with database.session() as session:
        found = await IterationRepository(session).next_to_run()
    return None if found is None else found.id


async def start(database: Database, iteration_id: str, versions: Versions = SERVING) -> bool:
    async with database.session() as session:
        return await IterationRepository(session).start(iteration_id, versions)


async def finish(
    database: Database, iteration_id: str, status: Status, error: str | None = None
) -> None:
    async with database.session() as session:
        await IterationRepository(session).finish(iteration_id, status, error=error)


async def request_cancel(database: Database, iteration_id: str) -> bool:
    async with database.session() as session:
        return await IterationRepository(session).request_cancel(iteration_id)


async def resume(database: Database, iteration_id: str) -> bool:
    async with database.session() as session:
        return await IterationRepository(session).resume(iteration_id)


@pytest.mark.parametrize("kind", list(IterationKind))
async def test_a_queued_iteration_has_its_options_and_no_started_stage(
    database: Database, kind: IterationKind
) -> None:
    options = options_for("tiny", {"seed": 7, "data": {"prompts": 9}})
    found = await get(
        database, await add(database, NewIteration("tiny", options, Policy.NEVER, kind))
    )
    assert (found.status, found.kind, found.preset) == (Status.QUEUED, kind, "tiny")
    assert (found.options, found.promote) == (options, Policy.NEVER)
    assert [stage.name for stage in found.stages] == list(STAGES[kind])
    assert {stage.status for stage in found.stages} == {Status.QUEUED}
    assert (found.incumbents, found.started_at, found.stage) == (None, None, None)


async def test_the_same_key_queues_once(database: Database) -> None:
    keyed = NewIteration("micro", PRESETS["micro"], idempotency_key="once")
    other = NewIteration("tiny", PRESETS["tiny"], idempotency_key="once")
    first = await add(database, keyed)
    assert await add(database, other) == first
    assert (await get(database, first)).preset == "micro"
    assert await add(database) != await add(database)


async def test_pages_are_newest_first_and_complete(database: Database) -> None:
    ids = [await add(database) for _ in range(5)]
    seen, cursor = list[str](), None
    async with database.session() as session:
        iterations = IterationRepository(session)
        while True:
            page, cursor = await iterations.page(2, cursor)
            assert all(len(one.stages) == len(Stage) for one in page)
            seen += [one.id for one in page]
            if cursor is None:
                break
    assert seen == sorted(ids, reverse=True)


async def test_the_running_iteration_is_next_then_the_oldest_queued(database: Database) -> None:
    assert await next_id(database) is None
    first, second, third = sorted([await add(database) for _ in range(3)])
    assert await next_id(database) == first
    await start(database, third)
    assert await next_id(database) == third
    await finish(database, third, Status.SUCCEEDED)
    assert await next_id(database) == first
    await finish(database, first, Status.FAILED)
    assert await next_id(database) == second


async def test_incumbents_and_start_are_those_of_the_first_time(database: Database) -> None:
    one = await add(database)
    assert await start(database, one, Versions(2, 3))
    begun = await get(database, one)
    await finish(database, one, Status.CANCELLED)
    await resume(database, one)
    assert await start(database, one, Versions(5, 6))
    found = await get(database, one)
    assert found.incumbents == Versions(2, 3)
    assert found.started_at == begun.started_at
    assert isinstance(found.started_at, datetime)


async def test_a_queued_iteration_is_cancelled_at_once_and_does_not_start(
    database: Database,
) -> None:
    one = await add(database)
    assert await request_cancel(database, one)
    found = await get(database, one)
    assert (found.status, found.cancel_requested) == (Status.CANCELLED, False)
    assert found.finished_at is not None
    # The worker may have found it just before.
    assert not await start(database, one)
    assert (await get(database, one)).status is Status.CANCELLED


async def test_cancelling_a_running_iteration_sets_cancel_requested(database: Database) -> None:
    one = await add(database)
    await start(database, one)
    assert await request_cancel(database, one)
    found = await get(database, one)
    assert (found.status, found.cancel_requested) == (Status.RUNNING, True)


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED, Status.CANCELLED])
async def test_there_is_nothing_to_cancel_after_the_end(database: Database, status: Status) -> None:
    one = await add(database)
    await finish(database, one, status)
    assert not await request_cancel(database, one)
    assert (await get(database, one)).status is status


@pytest.mark.parametrize("status", list(Status))
async def test_only_what_failed_or_was_cancelled_is_resumed(
    database: Database, status: Status
) -> None:
    one = await add(database)
    await start(database, one)
    await request_cancel(database, one)
    await finish(database, one, status, error="no luck")
    assert await resume(database, one) == status.resumable
    found = await get(database, one)
    if status.resumable:
        assert found.status is Status.QUEUED
        assert (found.error, found.cancel_requested, found.finished_at) == (None, False, None)
    else:
        assert found.status is status


async def test_no_iteration_has_that_id(database: Database) -> None:
    async with database.session() as session:
        assert await IterationRepository(session).get("x") is None
    assert not await request_cancel(database, "x")
    assert not await resume(database, "x")
    assert not await start(database, "x")


async def test_a_stage_has_its_progress_and_its_metrics(database: Database) -> None:
    one = await add(database)
    async with database.session() as session:
        iterations = IterationRepository(session)
        await iterations.start(one, Versions())
        await iterations.start_stage(one, Stage.RESPOND)
        await iterations.record_progress(one, Stage.RESPOND, 2, 8)
    found = await get(database, one)
    respond = found.stages[1]
    assert found.stage is Stage.RESPOND
    assert (respond.status, respond.done, respond.total) == (Status.RUNNING, 2, 8)
    async with database.session() as session:
        await IterationRepository(session).finish_stage(one, Stage.RESPOND, {"responses": 24})
    respond = (await get(database, one)).stages[1]
    assert (respond.status, respond.metrics) == (Status.SUCCEEDED, {"responses": 24})
    assert respond.finished_at is not None


async def test_an_iteration_ends_with_the_stage_it_is_in(database: Database) -> None:
    one = await add(database)
    async with database.session() as session:
        iterations = IterationRepository(session)
        await iterations.start(one, Versions())
        await iterations.start_stage(one, Stage.PROMPTS)
        await iterations.finish_stage(one, Stage.PROMPTS, {})
        await iterations.start_stage(one, Stage.RESPOND)
        await iterations.finish(one, Status.FAILED, error="no luck")
    found = await get(database, one)
    assert (found.status, found.error) == (Status.FAILED, "no luck")
    statuses = [stage.status for stage in found.stages]
    assert statuses[:3] == [Status.SUCCEEDED, Status.FAILED, Status.QUEUED]


async def test_a_resumed_iteration_keeps_the_record_of_its_finished_stages(
    database: Database,
) -> None:
    one = await add(database)
    async with database.session() as session:
        iterations = IterationRepository(session)
        await iterations.start_stage(one, Stage.PROMPTS)
        await iterations.record_progress(one, Stage.PROMPTS, 8, 8)
        await iterations.finish_stage(one, Stage.PROMPTS, {"training": 8})
        await iterations.start_stage(one, Stage.RESPOND)
        await iterations.finish(one, Status.CANCELLED)
    before = (await get(database, one)).stages[0]
    async with database.session() as session:
        iterations = IterationRepository(session)
        await iterations.resume(one)
        await iterations.start_stage(one, Stage.PROMPTS)
        await iterations.record_progress(one, Stage.PROMPTS, 0, 8)
    found = await get(database, one)
    assert (found.stages[0], found.stage) == (before, Stage.RESPOND)
    async with database.session() as session:
        await IterationRepository(session).finish_stage(one, Stage.PROMPTS, {"training": 0})
        await IterationRepository(session).start_stage(one, Stage.RESPOND)
    found = await get(database, one)
    assert found.stages[0] == before
    assert found.stages[1].status is Status.RUNNING


async def test_the_report_is_kept(database: Database) -> None:
    one = await add(database)
    async with database.session() as session:
        await IterationRepository(session).record_report(one, {"gain": 0.25})
    assert (await get(database, one)).report == {"gain": 0.25}

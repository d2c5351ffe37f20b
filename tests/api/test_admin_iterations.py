"""Iterations through the admin endpoint."""

import asyncio
import json
from contextlib import aclosing
from typing import Any

import anyio
import httpx
import httpx2
import pytest
from sse_starlette import ServerSentEvent

from app.api.admin.iterations import iteration_events
from app.db.checkpoints import CheckpointRepository
from app.db.iterations import IterationRepository, Sample, SampleRepository
from app.db.session import Database
from app.domain.checkpoint import CheckpointKind, Role, Versions
from app.domain.iteration import PRESETS, STAGES, IterationKind, SampleKind, Stage, Status

NOBODY = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
KEY = {"Idempotency-Key": "monday"}
POLL = 0.01


async def queue(admin: httpx.AsyncClient, **body: Any) -> dict[str, Any]:
    response = await admin.post("/admin/iterations", json=body)
    assert response.status_code == 202, response.text
    queued: dict[str, Any] = response.json()
    return queued


async def start(database: Database, iteration_id: str) -> None:
    async with database.session() as session:
        await IterationRepository(session).start(iteration_id, Versions())


async def finish(database: Database, iteration_id: str, status: Status) -> None:
    async with database.session() as session:
        await IterationRepository(session).finish(iteration_id, status, error="why")


async def test_an_iteration_is_queued_with_its_preset_and_overrides(
    admin: httpx.AsyncClient,
) -> None:
    body = {"preset": "micro", "promote": "never", "overrides": {"seed": 7, "data": {"prompts": 3}}}
    response = await admin.post("/admin/iterations", json=body)
    iteration = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == f"/admin/iterations/{iteration['id']}"
    assert (iteration["status"], iteration["stage"]) == ("queued", None)
    assert (iteration["preset"], iteration["promote"]) == ("micro", "never")
    assert iteration["options"]["seed"] == 7
    assert iteration["options"]["data"]["prompts"] == 3
    assert iteration["options"]["data"]["responses"] == PRESETS["micro"].data.responses
    assert [stage["name"] for stage in iteration["stages"]] == list(Stage)
    assert (await admin.get(response.headers["location"])).json() == iteration


async def test_everything_has_a_default(admin: httpx.AsyncClient) -> None:
    iteration = await queue(admin)
    chosen = (iteration["preset"], iteration["promote"], iteration["kind"])
    assert chosen == ("tiny", "gate", "self_play")


async def test_a_bootstrap_has_fewer_stages(admin: httpx.AsyncClient) -> None:
    stages = (await queue(admin, kind="bootstrap"))["stages"]
    assert [stage["name"] for stage in stages] == list(STAGES[IterationKind.BOOTSTRAP])


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"preset": "huge"}, "preset", "no preset 'huge': use one of micro, tiny"),
        ({"overrides": {"data": {"promts": 1}}}, "overrides.data.promts", "not known"),
        (
            {"overrides": {"data": {"gate": 0.7}}},
            "overrides.data",
            "`gate` has been renamed to `accept_threshold`",
        ),
        (
            {"overrides": {"data": {"own_pairs": 1}}},
            "overrides.data",
            "`own_pairs` has been renamed to `on_policy_pairs`",
        ),
        ({"overrides": {"data": {"prompts": 0}}}, "overrides.data.prompts", "greater than"),
        ({"overrides": {"actor": 3}}, "overrides.actor", "dictionary"),
        ({"overrides": {"roles": []}}, "overrides.roles", "at least 1"),
        ({"promote": "maybe"}, "promote", "gate"),
        ({"sede": 1}, "sede", "not known"),
    ],
)
async def test_unknown_names_are_refused(
    admin: httpx.AsyncClient, body: dict[str, Any], field: str, words: str
) -> None:
    response = await admin.post("/admin/iterations", json=body)
    assert response.status_code == 422
    assert response.json()["field"] == field
    assert words in response.json()["message"]
    assert (await admin.get("/admin/iterations")).json()["iterations"] == []


async def test_a_repeated_key_gives_the_same_iteration(admin: httpx.AsyncClient) -> None:
    calls = [admin.post("/admin/iterations", json={}, headers=KEY) for _ in range(5)]
    responses = await asyncio.gather(*calls)
    assert {response.status_code for response in responses} == {202}
    assert len({response.json()["id"] for response in responses}) == 1
    assert len((await admin.get("/admin/iterations")).json()["iterations"]) == 1


async def test_a_repeated_key_returns_an_iteration_that_has_progressed(
    admin: httpx.AsyncClient, database: Database
) -> None:
    first = (await admin.post("/admin/iterations", json={}, headers=KEY)).json()
    await start(database, first["id"])
    again = await admin.post("/admin/iterations", json={"preset": "tiny"}, headers=KEY)
    assert (again.status_code, again.json()["id"]) == (202, first["id"])
    assert again.json()["status"] == "running"


@pytest.mark.parametrize(
    "other",
    [{"preset": "micro"}, {"promote": "never"}, {"kind": "bootstrap"}, {"overrides": {"seed": 1}}],
)
async def test_a_key_with_another_body_is_refused(
    admin: httpx.AsyncClient, other: dict[str, Any]
) -> None:
    await admin.post("/admin/iterations", json={}, headers=KEY)
    response = await admin.post("/admin/iterations", json=other, headers=KEY)
    assert response.status_code == 422
    assert response.json()["field"] == "Idempotency-Key"


@pytest.mark.parametrize("key", ["", "x" * 256])
async def test_a_key_has_a_length(admin: httpx.AsyncClient, key: str) -> None:
    response = await admin.post("/admin/iterations", json={}, headers={"Idempotency-Key": key})
    assert (response.status_code, response.json()["field"]) == (422, "Idempotency-Key")


async def test_pages_are_newest_first(admin: httpx.AsyncClient) -> None:
    ids = [(await queue(admin))["id"] for _ in range(3)]
    first = (await admin.get("/admin/iterations", params={"limit": 2})).json()
    cursor = first["next_cursor"]
    second = (await admin.get("/admin/iterations", params={"cursor": cursor})).json()
    listed = [one["id"] for one in first["iterations"] + second["iterations"]]
    assert listed == sorted(ids, reverse=True)
    assert second["next_cursor"] is None


async def test_an_iteration_lists_the_checkpoints_it_trained(
    admin: httpx.AsyncClient, database: Database
) -> None:
    mine, other = (await queue(admin))["id"], (await queue(admin))["id"]
    await begin_checkpoint(database, mine)
    assert (await admin.get(f"/admin/iterations/{mine}")).json()["checkpoints"] == [
        {"role": "actor", "version": 1, "status": "training"}
    ]
    listed = (await admin.get("/admin/iterations")).json()["iterations"]
    assert {one["id"]: len(one["checkpoints"]) for one in listed} == {mine: 1, other: 0}


async def begin_checkpoint(database: Database, iteration_id: str) -> None:
    async with database.session() as session:
        await CheckpointRepository(session).begin(
            Role.ACTOR,
            kind=CheckpointKind.LORA,
            model="base",
            parent=0,
            iteration_id=iteration_id,
        )


async def test_a_queued_iteration_is_cancelled_at_once_and_resumed(
    admin: httpx.AsyncClient,
) -> None:
    path = f"/admin/iterations/{(await queue(admin))['id']}"
    assert (await admin.post(f"{path}/resume")).status_code == 409
    cancelled = await admin.post(f"{path}/cancel")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    again = await admin.post(f"{path}/cancel")
    assert (again.status_code, again.json()["type"]) == (409, "conflict")
    assert "cancelled" in again.json()["message"]
    resumed = await admin.post(f"{path}/resume")
    assert (resumed.status_code, resumed.json()["status"]) == (202, "queued")


async def test_cancelling_a_running_iteration_sets_cancel_requested(
    admin: httpx.AsyncClient, database: Database
) -> None:
    iteration_id = (await queue(admin))["id"]
    await start(database, iteration_id)
    response = await admin.post(f"/admin/iterations/{iteration_id}/cancel")
    assert (response.status_code, response.json()["status"]) == (202, "running")
    assert response.json()["cancel_requested"] is True


@pytest.mark.parametrize(
    ("status", "resumed"), [(Status.FAILED, 202), (Status.CANCELLED, 202), (Status.SUCCEEDED, 409)]
)
async def test_what_has_not_succeeded_can_be_resumed(
    admin: httpx.AsyncClient, database: Database, status: Status, resumed: int
) -> None:
    iteration_id = (await queue(admin))["id"]
    await finish(database, iteration_id, status)
    response = await admin.post(f"/admin/iterations/{iteration_id}/resume")
    assert response.status_code == resumed
    if resumed == 202:
        assert response.json()["error"] is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""),
        ("GET", "/events"),
        ("POST", "/cancel"),
        ("POST", "/resume"),
        ("GET", "/samples?role=actor"),
        ("GET", "/steps?role=actor"),
    ],
)
async def test_an_unknown_iteration_is_not_found(
    admin: httpx.AsyncClient, method: str, path: str
) -> None:
    response = await admin.request(method, f"/admin/iterations/{NOBODY}{path}")
    assert response.status_code == 404
    assert NOBODY in response.json()["message"]


async def test_training_data_is_paged(admin: httpx.AsyncClient, database: Database) -> None:
    iteration_id = (await queue(admin))["id"]
    made = [
        Sample(Role.ACTOR, SampleKind.PREFERENCE, {"n": n}, Versions(1, 2), "s", n)
        for n in range(5)
    ]
    async with database.session() as session:
        await SampleRepository(session, iteration_id).replace_samples(Role.ACTOR, made)
    path, found, cursor = f"/admin/iterations/{iteration_id}/samples", list[Any](), -1
    while cursor is not None:
        params: dict[str, Any] = {"role": "actor", "limit": 2, "cursor": cursor}
        page = (await admin.get(path, params=params)).json()
        found += page["samples"]
        cursor = page["next_cursor"]
    assert [one["content"]["n"] for one in found] == [one["position"] for one in found]
    assert len(found) == 5
    assert found[3]["checkpoint"] == {"actor": 1, "refiner": 2}
    assert (found[3]["kind"], found[3]["node_id"]) == ("preference", 3)
    other = (await admin.get(path, params={"role": "refiner"})).json()
    assert other == {"samples": [], "next_cursor": None}


async def record_step(database: Database, iteration_id: str, role: Role, step: int) -> None:
    async with database.session() as session:
        await SampleRepository(session, iteration_id).record_step(role, step, {"loss": 1 / step})


async def test_training_steps_are_listed_by_role(
    admin: httpx.AsyncClient, database: Database
) -> None:
    iteration_id = (await queue(admin))["id"]
    for step in (2, 1):
        await record_step(database, iteration_id, Role.REFINER, step)
    path = f"/admin/iterations/{iteration_id}/steps"
    listed = (await admin.get(path, params={"role": "refiner"})).json()["steps"]
    assert [(one["step"], one["metrics"]) for one in listed] == [
        (1, {"loss": 1}),
        (2, {"loss": 0.5}),
    ]
    assert (await admin.get(path, params={"role": "actor"})).json() == {"steps": []}


def events_in(content: bytes) -> list[tuple[str, Any]]:
    """The events of a whole stream; comments are left out."""
    response = httpx2.Response(
        200,
        headers={"content-type": "text/event-stream"},
        content=content,
        request=httpx2.Request("GET", "http://localhost"),
    )
    return [(event.event, json.loads(event.data)) for event in httpx2.EventSource(response)]


async def test_an_iteration_is_followed_to_its_end(
    admin: httpx.AsyncClient, database: Database
) -> None:
    iteration_id = (await queue(admin))["id"]
    await record_step(database, iteration_id, Role.ACTOR, 1)
    following = asyncio.create_task(admin.get(f"/admin/iterations/{iteration_id}/events"))
    await asyncio.sleep(0.2)
    await record_step(database, iteration_id, Role.ACTOR, 2)
    await finish(database, iteration_id, Status.FAILED)
    response = await following
    assert response.headers["content-type"].startswith("text/event-stream")
    assert ": ping" in response.text
    events = events_in(response.content)
    assert [name for name, _ in events] == ["step", "iteration", "step", "iteration"]
    assert events[0][1] == {"role": "actor", "step": 1, "metrics": {"loss": 1}}
    assert [events[1][1]["status"], events[3][1]["status"]] == ["queued", "failed"]
    assert events[3][1] == (await admin.get(f"/admin/iterations/{iteration_id}")).json()


async def test_an_ended_iteration_has_one_event(
    admin: httpx.AsyncClient, database: Database
) -> None:
    iteration_id = (await queue(admin))["id"]
    await finish(database, iteration_id, Status.SUCCEEDED)
    response = await admin.get(f"/admin/iterations/{iteration_id}/events")
    assert [name for name, _ in events_in(response.content)] == ["iteration"]


def body(event: ServerSentEvent) -> Any:
    return json.loads(str(event.data))


async def test_every_change_is_one_event_and_no_change_is_none(
    admin: httpx.AsyncClient, database: Database
) -> None:
    iteration_id = (await queue(admin))["id"]
    async with aclosing(
        iteration_events(database, iteration_id, anyio.Event(), poll_seconds=POLL)
    ) as events:
        assert body(await anext(events))["status"] == "queued"
        pending = asyncio.ensure_future(anext(events))
        await asyncio.sleep(10 * POLL)
        assert not pending.done()
        async with database.session() as session:
            await IterationRepository(session).record_progress(iteration_id, Stage.JUDGE, 3, 9)
        stages = body(await pending)["stages"]
        assert [(one["done"], one["total"]) for one in stages if one["name"] == "judge"] == [(3, 9)]


async def test_a_database_that_fails_ends_the_events_with_the_reason(
    admin: httpx.AsyncClient, database: Database
) -> None:
    iteration_id = (await queue(admin))["id"]
    events = iteration_events(database, iteration_id, anyio.Event(), poll_seconds=POLL)
    await anext(events)
    async with database.session() as session:
        connection = await session.connection()
        await connection.exec_driver_sql("ALTER TABLE iterations RENAME TO gone")
    error = await anext(events)
    assert error.event == "error"
    assert body(error)["type"] == "database_unavailable"
    with pytest.raises(StopAsyncIteration):
        await anext(events)


async def test_a_stopping_server_ends_the_events_at_once(
    admin: httpx.AsyncClient, database: Database
) -> None:
    stopping, iteration_id = anyio.Event(), (await queue(admin))["id"]
    events = iteration_events(database, iteration_id, stopping, poll_seconds=3600)
    await anext(events)
    pending = asyncio.ensure_future(anext(events, None))
    await asyncio.sleep(POLL)
    stopping.set()
    assert await asyncio.wait_for(pending, 10) is None

"""Checkpoints through the admin endpoint: lists, promotion and rollback."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from app.db.checkpoints import CheckpointRepository, ServerRepository, ServerState
from app.db.iterations import IterationRepository, NewIteration
from app.db.session import Database
from app.db.tables import PromotionRow
from app.domain.checkpoint import CheckpointKind, PromotionCause, Role, Versions
from app.domain.iteration import PRESETS


async def train(database: Database, role: Role, *, complete: bool = True) -> int:
    """A new version of a role, made by an iteration of its own."""
    async with database.session() as session:
        checkpoints = CheckpointRepository(session)
        iteration = await IterationRepository(session).add(NewIteration("micro", PRESETS["micro"]))
        version = await checkpoints.begin(
            role, kind=CheckpointKind.LORA, model="base", parent=0, iteration_id=iteration
        )
        if complete:
            await checkpoints.complete(role, version, f"checkpoints/{role}@{version}", "0" * 64)
    return version


async def promote(admin: httpx.AsyncClient, role: Role, version: int) -> httpx.Response:
    return await admin.post(f"/admin/checkpoints/{role}/{version}/promote")


async def serving(admin: httpx.AsyncClient) -> dict[str, int]:
    promoted: dict[str, int] = (await admin.get("/admin/serving")).json()["promoted"]
    return promoted


async def promotions(database: Database) -> list[tuple[int, int, PromotionCause]]:
    async with database.session() as session:
        rows = await session.scalars(select(PromotionRow).order_by(PromotionRow.id))
        return [(row.actor_version, row.refiner_version, row.cause) for row in rows]


async def test_every_version_is_listed_and_says_whether_it_serves(
    admin: httpx.AsyncClient, database: Database
) -> None:
    await train(database, Role.ACTOR)
    listed = (await admin.get("/admin/checkpoints")).json()["checkpoints"]
    shown = [(one["role"], one["version"], one["status"], one["serving"]) for one in listed]
    assert shown == [
        ("actor", 1, "candidate", False),
        ("actor", 0, "promoted", True),
        ("refiner", 0, "promoted", True),
    ]
    assert (listed[0]["kind"], listed[0]["parent"]) == ("lora", 0)
    assert len(listed[0]["iteration"]) == 26


async def test_promoting_one_role_keeps_the_other(
    admin: httpx.AsyncClient, database: Database
) -> None:
    for role in (Role.ACTOR, Role.ACTOR, Role.REFINER):
        await train(database, role)
    assert (await promote(admin, Role.REFINER, 1)).json() == {"actor": 0, "refiner": 1}
    response = await promote(admin, Role.ACTOR, 2)
    assert response.status_code == 200
    assert response.json() == await serving(admin) == {"actor": 2, "refiner": 1}
    assert await promotions(database) == [
        (0, 1, PromotionCause.PROMOTE),
        (2, 1, PromotionCause.PROMOTE),
    ]


async def test_the_base_model_can_be_promoted_again(
    admin: httpx.AsyncClient, database: Database
) -> None:
    await train(database, Role.ACTOR)
    await promote(admin, Role.ACTOR, 1)
    assert (await promote(admin, Role.ACTOR, 0)).json() == {"actor": 0, "refiner": 0}


async def test_both_roles_at_once_lose_neither(
    admin: httpx.AsyncClient, database: Database
) -> None:
    for role in Role:
        await train(database, role)
    await asyncio.gather(*(promote(admin, role, 1) for role in Role))
    assert await serving(admin) == {"actor": 1, "refiner": 1}


async def test_what_cannot_be_promoted(admin: httpx.AsyncClient, database: Database) -> None:
    await train(database, Role.ACTOR, complete=False)
    unfinished = await promote(admin, Role.ACTOR, 1)
    assert (unfinished.status_code, unfinished.json()["type"]) == (409, "conflict")
    assert "actor@1 has not finished" in unfinished.json()["message"]
    already = await promote(admin, Role.ACTOR, 0)
    assert already.status_code == 409
    assert "is already served" in already.json()["message"]
    unknown = await promote(admin, Role.REFINER, 7)
    assert unknown.status_code == 404
    assert "refiner@7" in unknown.json()["message"]
    assert await promotions(database) == []


@pytest.mark.parametrize("path", ["critic/1/promote", "actor/-1/promote", "actor/x/promote"])
async def test_a_path_that_names_no_version(admin: httpx.AsyncClient, path: str) -> None:
    assert (await admin.post(f"/admin/checkpoints/{path}")).status_code == 422


async def test_rolling_back_promotes_the_previous_version(
    admin: httpx.AsyncClient, database: Database
) -> None:
    for role in (Role.ACTOR, Role.ACTOR, Role.REFINER):
        await train(database, role)
    await promote(admin, Role.ACTOR, 1)
    await promote(admin, Role.REFINER, 1)
    await promote(admin, Role.ACTOR, 2)
    response = await admin.post("/admin/checkpoints/actor/rollback")
    assert response.status_code == 200
    assert response.json() == await serving(admin) == {"actor": 1, "refiner": 1}
    assert (await promotions(database))[-1] == (1, 1, PromotionCause.ROLLBACK)


async def test_the_first_version_has_no_previous_one(
    admin: httpx.AsyncClient, database: Database
) -> None:
    response = await admin.post("/admin/checkpoints/actor/rollback")
    assert (response.status_code, response.json()["type"]) == (409, "conflict")
    assert await promotions(database) == []


async def report(database: Database, name: str, ago: timedelta, **values: Any) -> None:
    now = datetime.now(UTC)
    fields: dict[str, Any] = {"versions": Versions(), "ready": True, "error": None} | values
    state = ServerState(
        id=name.rjust(26, "0"),
        url=f"http://{name}:8000",
        started_at=now - timedelta(hours=1),
        seen_at=now - ago,
        **fields,
    )
    async with database.session() as session:
        await ServerRepository(session).report(state)


async def test_serving_shows_the_servers_seen_lately(
    admin: httpx.AsyncClient, database: Database
) -> None:
    await report(database, "A", timedelta(seconds=1), versions=Versions(2, 1))
    await report(database, "B", timedelta(seconds=20), ready=False, error="actor@3: truncated")
    await report(database, "C", timedelta(seconds=40))
    servers = (await admin.get("/admin/serving")).json()["servers"]
    assert [
        (one["url"], one["actor"], one["refiner"], one["ready"], one["error"]) for one in servers
    ] == [
        ("http://A:8000", 2, 1, True, None),
        ("http://B:8000", 0, 0, False, "actor@3: truncated"),
    ]


async def test_the_history_lists_promotions_with_time_and_cause(
    admin: httpx.AsyncClient, database: Database
) -> None:
    version = await train(database, Role.ACTOR)
    await promote(admin, Role.ACTOR, version)
    await admin.post("/admin/checkpoints/actor/rollback")
    first = (await admin.get("/admin/promotions", params={"limit": 1})).json()
    (newest,) = first["promotions"]
    assert (newest["checkpoint"]["actor"], newest["cause"]) == (0, "rollback")
    more = {"cursor": first["next_cursor"]}
    second = (await admin.get("/admin/promotions", params=more)).json()
    assert [(one["checkpoint"]["actor"], one["cause"]) for one in second["promotions"]] == [
        (version, "promote")
    ]
    assert second["next_cursor"] is None

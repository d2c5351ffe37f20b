"""The base model is version 0 of each role, and the newest promotion says what serves."""

import asyncio
from datetime import UTC, datetime

from sqlalchemy import select

from app.db.checkpoints import CheckpointRepository
from app.db.iterations import IterationRepository, NewIteration
from app.db.session import Database
from app.db.tables import CheckpointRow
from app.domain.checkpoint import (
    CheckpointKind,
    CheckpointStatus,
    PromotionCause,
    Role,
    Versions,
)
from app.domain.iteration import PRESETS


async def ensure(database: Database, model: str) -> None:
    async with database.session() as session:
        await CheckpointRepository(session).ensure_base_checkpoints(model)


async def recorded(database: Database) -> list[tuple[Role, int, str]]:
    async with database.session() as session:
        rows = await session.scalars(select(CheckpointRow).order_by(CheckpointRow.role))
        return [(row.role, row.version, row.model) for row in rows]


async def test_the_base_model_is_version_zero_of_each_role(database: Database) -> None:
    await ensure(database, "some/model")
    assert await recorded(database) == [
        (Role.ACTOR, 0, "some/model"),
        (Role.REFINER, 0, "some/model"),
    ]


async def test_existing_records_are_kept(database: Database) -> None:
    await ensure(database, "first")
    await ensure(database, "second")
    assert {model for _, _, model in await recorded(database)} == {"first"}


async def test_several_servers_may_start_at_once(database: Database) -> None:
    await asyncio.gather(*(ensure(database, f"model-{number}") for number in range(5)))
    assert len(await recorded(database)) == 2


async def test_a_missing_role_is_added_to_the_other(database: Database) -> None:
    async with database.session() as session:
        session.add(checkpoint(Role.REFINER, 0))
    await ensure(database, "base")
    assert [role for role, _, _ in await recorded(database)] == [Role.ACTOR, Role.REFINER]


async def promote(database: Database, actor: int, refiner: int) -> None:
    async with database.session() as session:
        await CheckpointRepository(session).promote(
            Versions(actor, refiner), PromotionCause.PROMOTE
        )


async def test_the_newest_promotion_is_in_force(database: Database) -> None:
    await ensure(database, "base")
    await promote(database, 2, 0)
    await promote(database, 1, 3)
    async with database.session() as session:
        serving = await CheckpointRepository(session).serving()
    assert (serving.id, serving.versions) == (2, Versions(actor=1, refiner=3))


async def test_without_a_promotion_the_base_model_serves(database: Database) -> None:
    async with database.session() as session:
        assert (await CheckpointRepository(session).serving()).versions == Versions(0, 0)


async def test_the_previous_version_is_what_served_before(database: Database) -> None:
    await ensure(database, "base")

    async def previous(role: Role) -> int | None:
        async with database.session() as session:
            return await CheckpointRepository(session).previous_version(role)

    assert await previous(Role.ACTOR) is None
    await promote(database, 1, 0)
    assert await previous(Role.ACTOR) == 0
    await promote(database, 2, 0)
    await promote(database, 2, 1)
    assert await previous(Role.ACTOR) == 1
    assert await previous(Role.REFINER) == 0


async def test_an_iteration_has_one_new_version_of_a_role(database: Database) -> None:
    await ensure(database, "base")
    async with database.session() as session:
        iteration = await IterationRepository(session).add(NewIteration("micro", PRESETS["micro"]))
    async with database.session() as session:
        checkpoints = CheckpointRepository(session)
        begun = [
            await checkpoints.begin(
                Role.ACTOR,
                kind=CheckpointKind.LORA,
                model="base",
                parent=0,
                iteration_id=iteration,
            )
            for _ in range(2)
        ]
    assert begun == [1, 1]


def checkpoint(role: Role, version: int) -> CheckpointRow:
    return CheckpointRow(
        role=role,
        version=version,
        status=CheckpointStatus.PROMOTED,
        kind=CheckpointKind.BASE,
        model="base",
        path=None,
        digest=None,
        parent=None,
        iteration_id=None,
        evaluation=None,
        error=None,
        created_at=datetime.now(UTC),
    )

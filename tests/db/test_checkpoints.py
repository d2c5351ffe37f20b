"""The base model is version 0 of each role, and the newest promoted version serves."""

import asyncio
from datetime import UTC, datetime

from sqlalchemy import select

from app.db.checkpoints import CheckpointRepository
from app.db.session import Database
from app.db.tables import CheckpointKind, CheckpointRow, CheckpointStatus
from app.domain.checkpoint import Role, Versions


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


async def test_what_is_recorded_stays(database: Database) -> None:
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


async def test_the_newest_promoted_version_of_each_role_serves(database: Database) -> None:
    await ensure(database, "base")
    async with database.session() as session:
        session.add_all(checkpoint(Role.ACTOR, version) for version in (2, 10, 9))
    async with database.session() as session:
        serving = await CheckpointRepository(session).serving_versions()
    assert serving == Versions(actor=10, refiner=0)


async def test_without_checkpoints_the_base_model_serves(database: Database) -> None:
    async with database.session() as session:
        assert await CheckpointRepository(session).serving_versions() == Versions(0, 0)


def checkpoint(role: Role, version: int) -> CheckpointRow:
    return CheckpointRow(
        role=role,
        version=version,
        status=CheckpointStatus.PROMOTED,
        kind=CheckpointKind.BASE,
        model="base",
        path=None,
        parent=None,
        created_at=datetime.now(UTC),
    )

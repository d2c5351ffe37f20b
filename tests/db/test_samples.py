"""Results of an iteration are stored idempotently."""

import pytest

from app.db.iterations import IterationRepository, NewIteration, Sample, SampleRepository
from app.db.session import Database
from app.domain.checkpoint import Role, Versions
from app.domain.iteration import PRESETS, SampleKind, Stage


@pytest.fixture
async def iteration(database: Database) -> str:
    """The id of an iteration."""
    async with database.session() as session:
        return await IterationRepository(session).add(NewIteration("micro", PRESETS["micro"]))


def pair(text: str) -> Sample:
    content = {"prompt": [{"role": "user", "content": text}], "chosen": [], "rejected": []}
    return Sample(Role.ACTOR, SampleKind.PREFERENCE, content, Versions(1, 2), "s" * 26, 3)


def dialogue(kind: SampleKind) -> Sample:
    return Sample(Role.REFINER, kind, {"messages": []}, Versions(1, 2))


async def test_samples_come_back_in_order_with_their_origin(
    database: Database, iteration: str
) -> None:
    stored = [pair(str(number)) for number in range(12)]
    async with database.session() as session:
        samples = SampleRepository(session, iteration)
        await samples.replace_samples(Role.ACTOR, stored)
        assert await samples.samples(Role.ACTOR) == stored
        assert await samples.samples(Role.ACTOR, limit=3, after=4) == stored[5:8]
        assert await samples.samples(Role.REFINER) == []


async def test_storing_the_samples_of_a_role_again_replaces_them(
    database: Database, iteration: str
) -> None:
    kinds = [SampleKind.REPAIR, SampleKind.JUDGMENT, SampleKind.JUDGMENT]
    async with database.session() as session:
        samples = SampleRepository(session, iteration)
        await samples.replace_samples(Role.REFINER, [dialogue(kind) for kind in kinds])
        for _ in range(2):
            await samples.replace_samples(Role.ACTOR, [pair("a"), pair("b")])
        assert await samples.count_samples() == {
            SampleKind.PREFERENCE: 2,
            SampleKind.REPAIR: 1,
            SampleKind.JUDGMENT: 2,
        }
        await samples.replace_samples(Role.ACTOR, [])
        assert await samples.samples(Role.ACTOR) == []


async def test_items_are_kept_by_stage_and_key(database: Database, iteration: str) -> None:
    async with database.session() as session:
        samples = SampleRepository(session, iteration)
        await samples.add_item(Stage.RESPOND, "0", ["an answer"])
        await samples.add_item(Stage.JUDGE, "0", {"value": 0.5})
        assert await samples.items(Stage.RESPOND) == {"0": ["an answer"]}
        assert await samples.items(Stage.REFINE) == {}


async def test_an_item_is_stored_once(database: Database, iteration: str) -> None:
    # The second call is a retry after a commit whose outcome is unknown.
    for result in ("first", "second"):
        async with database.session() as session:
            await SampleRepository(session, iteration).add_item(Stage.RESPOND, "0", result)
    async with database.session() as session:
        items = await SampleRepository(session, iteration).items(Stage.RESPOND)
    assert items == {"0": "first"}


async def test_a_training_step_that_is_done_again_replaces_the_first(
    database: Database, iteration: str
) -> None:
    async with database.session() as session:
        samples = SampleRepository(session, iteration)
        for step, loss in ((1, 0.9), (2, 0.8), (3, 0.7), (2, 0.6)):
            await samples.record_step(Role.ACTOR, step, {"loss": loss})
        await samples.record_step(Role.REFINER, 1, {"loss": 2.0})
        everything = [(1, {"loss": 0.9}), (2, {"loss": 0.6}), (3, {"loss": 0.7})]
        assert await samples.steps(Role.ACTOR) == everything
        assert await samples.steps(Role.ACTOR, after=2) == everything[2:]

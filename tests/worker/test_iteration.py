"""Whole iterations: their results, also after an interruption at any point."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from app.db.checkpoints import CheckpointRepository
from app.db.leases import Lease
from app.db.prompts import Conversation, PromptRepository
from app.db.searches import SearchRepository
from app.db.tables import PromotionRow, SearchRow
from app.domain.checkpoint import CheckpointStatus, Role, Versions
from app.domain.iteration import IterationKind, Policy, SampleKind, Stage, Status
from app.domain.prompt import Message
from app.engine.base import Call
from app.errors import EngineUnavailable, LeaseLost
from tests.helpers.iterating import OPTIONS, PROMPTS, World, by_content
from tests.helpers.scripted_engine import ScriptedEngine
from tests.helpers.scripts import verdict_of_critique
from tests.worker.conftest import MakeWorld
from training.config import Method

MOST_RUNS = 200


@dataclass(frozen=True)
class Outcome:
    """What an iteration leaves behind, ids of searches aside.

    The training's metrics too: steps that a worker did not live to record are not in them.
    """

    data: Mapping[Role, Sequence[Any]]
    items: Mapping[Stage, int]
    stages: Sequence[tuple[Stage, Status, Mapping[str, Any]]]
    trained: Sequence[Role]
    promotions: int
    searches: int
    report: Any


async def outcome(world: World, iteration_id: str) -> Outcome:
    found = await world.iteration(iteration_id)
    data = {
        role: [replace(one, search_id=None) for one in await world.samples(iteration_id, role)]
        for role in Role
    }
    async with world.database.session() as session:
        return Outcome(
            data,
            await world.items(iteration_id),
            [
                (stage.name, stage.status, {} if stage.name is Stage.TRAIN else stage.metrics)
                for stage in found.stages
            ],
            [config.role for config in world.trainer.trained],
            await session.scalar(select(func.count()).select_from(PromotionRow)) or 0,
            await session.scalar(select(func.count()).select_from(SearchRow)) or 0,
            found.report,
        )


@pytest.fixture
async def whole(make_world: MakeWorld) -> Outcome:
    """What an iteration that nothing disturbs leaves behind."""
    world = await make_world()
    one = await world.queue()
    await world.run(one)
    return await outcome(world, one)


async def test_an_iteration_plays_trains_measures_and_promotes(world: World) -> None:
    one = await world.queue()
    await world.run(one)
    made = await outcome(world, one)
    assert [stage for stage, _, _ in made.stages] == list(Stage)
    assert {status for _, status, _ in made.stages} == {Status.SUCCEEDED}
    assert made.trained == [Role.ACTOR, Role.REFINER]
    assert made.items[Stage.RESPOND] == made.items[Stage.JUDGE] == len(PROMPTS)
    assert made.items[Stage.REFINE] == made.searches > 0
    assert Counter(sample.kind for sample in made.data[Role.REFINER]).keys() == {
        SampleKind.REPAIR,
        SampleKind.JUDGMENT,
    }
    async with world.database.session() as session:
        checkpoints = CheckpointRepository(session)
        assert (await checkpoints.serving()).versions == Versions(1, 1)
        for checkpoint in await checkpoints.of_iteration(one):
            assert checkpoint.status is CheckpointStatus.PROMOTED
            assert checkpoint.parent == 0
            assert checkpoint.evaluation["primary"]["n"] == 2


async def test_each_sample_names_the_search_and_node_it_came_from(world: World) -> None:
    one = await world.queue()
    await world.run(one)
    pairs = await world.samples(one, Role.ACTOR)
    async with world.database.session() as session:
        for pair in pairs:
            assert pair.search_id is not None
            search = await SearchRepository(session).get(pair.search_id)
            assert search is not None
            nodes = {node.id: node for node in search.nodes}
            assert pair.node_id is not None
            assert nodes[pair.node_id].text == pair.content["chosen"][0]["content"]
            assert nodes[0].text == pair.content["rejected"][0]["content"]
            assert search.messages[-1].content == pair.content["prompt"][-1]["content"]
            assert pair.versions == search.versions == Versions(0, 0)


async def test_what_is_trained_on_is_what_is_stored(world: World) -> None:
    one = await world.queue()
    await world.run(one)
    assert world.trainer.niceness == 7
    actor, refiner = world.trainer.trained
    assert (actor.method, refiner.method) == (Method.DPO, Method.SFT)
    for config in (actor, refiner):
        lines = [json.loads(line) for line in config.data.read_text().splitlines()]
        stored = await world.samples(one, config.role)
        assert lines == [dict(sample.content) for sample in stored]


async def test_next_iteration_continues_the_promoted_versions(world: World) -> None:
    first, second = await world.queue(), await world.queue()
    await world.run(first)
    await world.run(second)
    actor = world.trainer.trained[2]
    assert actor.adapter == world.data / "checkpoints" / "actor@1"
    assert actor.output.name == "actor@2"
    assert {sample.versions for sample in await world.samples(second, Role.ACTOR)} == {
        Versions(1, 1)
    }


class Leased(Lease):
    """A lease that another worker takes over after a number of transactions."""

    def __init__(self, world: World, lease: Lease, transactions: int) -> None:
        super().__init__(world.database, "iterations", lease.fence, 3600)
        self._world = world
        self._left = transactions

    @asynccontextmanager
    async def session(self) -> AsyncIterator[AsyncSession]:
        if self._left == 0:
            await self._world.lease()
        self._left -= 1
        async with super().session() as session:
            yield session


async def test_losing_the_lease_at_every_transaction_changes_nothing(
    world: World, whole: Outcome
) -> None:
    one = await world.queue()
    for transactions in range(MOST_RUNS):
        try:
            await world.run(one, Leased(world, await world.lease(), transactions))
        except LeaseLost:
            continue
        break
    assert transactions > len(Stage) * 2
    assert await outcome(world, one) == whole


class Cut(Exception):
    """Simulates the end of a process."""


def cut_after(calls: int, error: BaseException) -> ScriptedEngine:
    """An engine that is available for a number of calls."""
    left = calls

    async def script(call: Call) -> str:
        nonlocal left
        left -= 1
        if left < 0:
            raise error
        return await by_content(call)

    return ScriptedEngine(script, verdict_of_critique)


@pytest.mark.parametrize("error", [EngineUnavailable("gone"), asyncio.CancelledError()])
async def test_losing_the_engine_at_any_call_changes_nothing(
    world: World, whole: Outcome, error: BaseException
) -> None:
    one = await world.queue()
    for calls in range(1, MOST_RUNS, 2):
        world.engine = cut_after(calls, error)
        try:
            await world.run(one)
        except (EngineUnavailable, asyncio.CancelledError):
            continue
        break
    assert calls > 10
    assert await outcome(world, one) == whole


@pytest.mark.parametrize("policy", [Policy.NEVER, Policy.GATE])
async def test_rejected_candidate_keeps_its_report(world: World, policy: Policy) -> None:
    one = await world.queue(promote=policy)  # Two prompts are too few for the gate to be sure.
    await world.run(one)
    async with world.database.session() as session:
        checkpoints = CheckpointRepository(session)
        assert (await checkpoints.serving()).versions == Versions(0, 0)
        for checkpoint in await checkpoints.of_iteration(one):
            assert checkpoint.status is CheckpointStatus.REJECTED
            assert checkpoint.digest is not None
            assert checkpoint.evaluation["decision"]
    assert (await world.iteration(one)).report["promoted"] == []


def conversation(role: Role, number: int) -> Conversation:
    return Conversation(role, (Message("user", f"Question {number}"), Message("assistant", "A.")))


async def add_conversations(world: World, *numbers: int) -> None:
    async with world.database.session() as session:
        some = [conversation(role, number) for role in Role for number in numbers]
        await PromptRepository(session).add_conversations(some)


async def test_bootstrap_trains_both_roles_on_imported_conversations(world: World) -> None:
    await add_conversations(world, 1, 2, 3)
    one = await world.queue(kind=IterationKind.BOOTSTRAP)
    await world.run(one)
    assert [config.method for config in world.trainer.trained] == [Method.SFT, Method.SFT]
    for role in Role:
        samples = await world.samples(one, role)
        assert {sample.kind for sample in samples} == {SampleKind.CONVERSATION}
        asked = [sample.content["messages"][0]["content"] for sample in samples]
        assert asked == ["Question 1", "Question 2", "Question 3"]
    async with world.database.session() as session:
        assert (await CheckpointRepository(session).serving()).versions == Versions(1, 1)


async def test_later_feedback_is_left_for_the_next_iteration(world: World) -> None:
    await add_conversations(world, 1, 2)
    one = await world.queue(kind=IterationKind.BOOTSTRAP)
    world.engine = cut_after(0, Cut())
    with pytest.raises(Cut):
        await world.run(one)
    trained = await world.samples(one, Role.ACTOR)
    await add_conversations(world, 3)
    world.engine = cut_after(MOST_RUNS, Cut())
    await world.run(one)
    assert await world.samples(one, Role.ACTOR) == trained
    assert len(world.trainer.trained) == 2


async def test_too_little_data_trains_and_promotes_nothing(world: World) -> None:
    await add_conversations(world, 1)
    one = await world.queue(kind=IterationKind.BOOTSTRAP)
    await world.run(one)
    assert world.trainer.trained == []
    async with world.database.session() as session:
        assert (await CheckpointRepository(session).serving()).versions == Versions(0, 0)
    assert {stage.status for stage in (await world.iteration(one)).stages} == {Status.SUCCEEDED}


@pytest.mark.parametrize("role", Role)
async def test_one_role_alone_can_be_trained_measured_and_promoted(
    world: World, role: Role
) -> None:
    one = await world.queue(OPTIONS.model_copy(update={"roles": (role,)}))
    await world.run(one)
    assert [config.role for config in world.trainer.trained] == [role]
    report = (await world.iteration(one)).report
    assert report["reports"].keys() == {role}
    async with world.database.session() as session:
        serving = (await CheckpointRepository(session).serving()).versions
    assert serving == Versions(0, 0).with_version(role, 1)

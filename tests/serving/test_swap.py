"""Servers follow the promotions: both roles together, never to a broken version."""

import asyncio
import logging
import shutil

import pytest
from sqlalchemy import text

from app.db.checkpoints import CheckpointRepository, ServerState
from app.db.session import Database
from app.domain.checkpoint import Role, Versions
from app.errors import CheckpointRefused, EngineUnavailable
from tests.helpers.swapping import (
    QUICK,
    LoadingEngine,
    World,
    until,
    until_reported,
    until_served,
)


async def add_all(world: World, count: int) -> None:
    for role in Role:
        for version in range(1, count + 1):
            await world.add(role, version)


async def test_a_promotion_is_followed(world: World, engine: LoadingEngine) -> None:
    await add_all(world, 1)
    async with world.server(engine) as (registry, swapper):
        await until_served(registry, 0, 0)
        await world.promote(1, 1)
        await until_served(registry, 1, 1)
        [state] = await until_reported(world, lambda state: state.versions == Versions(1, 1))
        assert (state.id, state.url) == (swapper.server_id, "http://here")
        assert (state.ready, state.error) == (True, None)
    assert await world.servers() == []


async def test_both_roles_are_activated_together(world: World, engine: LoadingEngine) -> None:
    """While the second role's version is loading, neither serves yet."""
    await add_all(world, 1)
    engine.held["refiner@1"] = asyncio.Event()
    async with world.server(engine) as (registry, _):
        await until_served(registry, 0, 0)
        await world.promote(1, 1)
        await until(lambda: "actor@1" in engine.adapters and "refiner@1" in engine.loads)
        assert registry.versions == Versions(0, 0)
        engine.held["refiner@1"].set()
        await until(lambda: registry.versions != Versions(0, 0))
        assert registry.versions == Versions(1, 1)


@pytest.mark.parametrize("broken", list(Role))
async def test_a_broken_version_of_one_role_keeps_the_old_of_both(
    world: World, engine: LoadingEngine, broken: Role
) -> None:
    await add_all(world, 2)
    world.damage(broken, 2)
    async with world.server(engine) as (registry, _):
        await world.promote(1, 1)
        await until_served(registry, 1, 1)
        await world.promote(2, 2)
        [state] = await until_reported(world, lambda state: state.error)
        assert f"{broken}@2 cannot be served" in (state.error or "")
        assert "cut short" in (state.error or "")
        assert state.versions == registry.versions == Versions(1, 1)
        assert "cut short" in ((await world.row(broken, 2)).error or "")
        # It is not retried until the next promotion.
        loads = len(engine.loads)
        await asyncio.sleep(5 * QUICK.retry)
        assert len(engine.loads) == loads
        await world.promote(1, 1)
        await until_reported(world, lambda state: state.error is None)


async def test_after_broken_versions_the_active_one_keeps_serving(
    world: World, engine: LoadingEngine
) -> None:
    await add_all(world, 3)
    world.damage(Role.ACTOR, 3)
    engine.troubles["actor@2"] = CheckpointRefused("not today")
    async with world.server(engine) as (registry, _):
        for version in (1, 2):
            await world.promote(version, version)
            await until_served(registry, 1, 1)
        await until_reported(world, lambda state: "not today" in (state.error or ""))
        engine.troubles.clear()
        await world.promote(3, 3)
        await until_reported(world, lambda state: "actor@3 and" in (state.error or ""))
        assert registry.versions == Versions(1, 1)


async def test_swaps_are_logged_with_their_duration_and_failures_once(
    world: World, engine: LoadingEngine
) -> None:
    await add_all(world, 2)
    world.damage(Role.ACTOR, 2)
    told: list[float | None] = []
    async with world.server(engine, on_swap=told.append) as (registry, _):
        await until_served(registry, 0, 0)
        assert told == [], "nothing served before, so nothing was swapped"
        await world.promote(1, 1)
        await until_served(registry, 1, 1)
        [seconds] = told
        assert seconds is not None
        assert seconds > 0
        await world.promote(2, 2)
        await until_reported(world, lambda state: state.error)
        assert told == [seconds, None]


async def test_a_promotion_of_nothing_keeps_the_old(world: World, engine: LoadingEngine) -> None:
    async with world.server(engine) as (registry, _):
        await until_served(registry, 0, 0)
        await world.promote(9, 0)
        [state] = await until_reported(world, lambda state: state.error)
        assert "there is no checkpoint actor@9" in (state.error or "")
        assert registry.versions == Versions(0, 0)


async def test_a_roll_back_loads_nothing(world: World, engine: LoadingEngine) -> None:
    await add_all(world, 2)
    async with world.server(engine) as (registry, _):
        for version in (1, 2):
            await world.promote(version, version)
            await until_served(registry, version, version)
        loads = list(engine.loads)
        # The files are not read again.
        shutil.rmtree(world.data)
        await world.promote(1, 1)
        await until_served(registry, 1, 1)
        await world.promote(0, 2)
        await until_served(registry, 0, 2)
        assert engine.loads == loads


async def test_the_last_promoted_versions_stay_loaded(world: World, engine: LoadingEngine) -> None:
    await add_all(world, 4)
    times = type(QUICK)(poll=QUICK.poll, idle=0)
    async with world.server(engine, times=times, keep=2) as (registry, _):
        for version in (1, 2, 3, 4):
            await world.promote(version, 0)
            await until_served(registry, version, 0)
        await until(lambda: sorted(engine.adapters) == ["actor@3", "actor@4"])
        # A version that was promoted again counts from then on.
        await world.promote(3, 0)
        await until_served(registry, 3, 0)
        await world.promote(1, 0)
        await until(lambda: sorted(engine.adapters) == ["actor@1", "actor@3"])


async def test_every_server_follows(world: World) -> None:
    await add_all(world, 2)
    async with (
        world.server(LoadingEngine()) as (first, one),
        world.server(LoadingEngine()) as (second, two),
    ):
        await world.promote(1, 2)
        await until_served(first, 1, 2)
        await until_served(second, 1, 2)
        states = await until_reported(world, lambda state: state.versions == Versions(1, 2), 2)
        assert {state.id for state in states} == {one.server_id, two.server_id}


async def test_a_server_that_cannot_swap_does_not_affect_the_others(world: World) -> None:
    await add_all(world, 1)
    small = LoadingEngine()
    small.max_adapter_rank = 1
    async with world.server(LoadingEngine()) as (large, _), world.server(small) as (refusing, two):
        await world.promote(1, 1)
        await until_served(large, 1, 1)
        await until(lambda: refusing.ready)

        def as_expected(state: ServerState) -> bool:
            if state.id == two.server_id:
                return bool(state.error) and state.versions == Versions(0, 0)
            return not state.error and state.versions == Versions(1, 1)

        await until_reported(world, as_expected, 2)


async def test_a_transient_error_is_retried(world: World, engine: LoadingEngine) -> None:
    await add_all(world, 1)
    engine.troubles["refiner@1"] = EngineUnavailable("the engine died")
    async with world.server(engine) as (registry, _):
        await until_served(registry, 0, 0)
        await world.promote(1, 1)
        [state] = await until_reported(world, lambda state: state.error)
        assert "the engine died" in (state.error or "")
        assert registry.versions == Versions(0, 0)
        engine.troubles.clear()
        await until_served(registry, 1, 1)
        await until_reported(world, lambda state: state.error is None)


async def test_a_starting_engine_is_waited_for(world: World, engine: LoadingEngine) -> None:
    await add_all(world, 1)
    await world.promote(1, 1)
    engine.ready = False
    async with world.server(engine) as (registry, _):
        [state] = await until_reported(world, lambda state: True)
        assert (state.ready, state.error) == (False, None)
        assert not registry.ready
        assert engine.loads == []
        engine.ready = True
        await registry.wait_ready()
        assert registry.versions == Versions(1, 1)
        await until_reported(world, lambda state: state.ready)


async def test_base_models_need_no_engine_to_be_ready(world: World, engine: LoadingEngine) -> None:
    engine.ready = False
    async with world.server(engine) as (registry, _):
        await until_served(registry, 0, 0)
        [state] = await until_reported(world, lambda state: True)
        assert not state.ready


async def test_at_start_the_newest_earlier_promotion_that_loads_is_served(
    world: World, engine: LoadingEngine
) -> None:
    await add_all(world, 3)
    for version in (1, 2, 3):
        await world.promote(version, version)
    world.damage(Role.REFINER, 3)
    world.damage(Role.ACTOR, 2)
    async with world.server(engine) as (registry, _):
        await registry.wait_ready()
        assert registry.versions == Versions(1, 1)
        [state] = await until_reported(world, lambda state: state.ready)
        assert "actor@3 and refiner@3 cannot be served: refiner@3" in (state.error or "")


async def test_at_start_the_base_models_are_the_last_fallback(
    world: World, engine: LoadingEngine
) -> None:
    await add_all(world, 1)
    await world.promote(1, 1)
    world.damage(Role.ACTOR, 1)
    async with world.server(engine) as (registry, _):
        await registry.wait_ready()
        assert registry.versions == Versions(0, 0)
        await until_reported(world, lambda state: state.ready and state.error)


async def rename_table(database: Database, before: str, after: str) -> None:
    async with database.session() as session:
        await session.execute(text(f"ALTER TABLE {before} RENAME TO {after}"))


async def test_a_server_serves_on_while_promotions_cannot_be_read(
    world: World, engine: LoadingEngine, caplog: pytest.LogCaptureFixture
) -> None:
    await add_all(world, 1)
    caplog.set_level(logging.WARNING, "app.serving.swap")
    async with world.server(engine) as (registry, _):
        await world.promote(1, 1)
        await until_served(registry, 1, 1)
        await rename_table(world.database, "promotions", "away")
        await until(lambda: "cannot be followed" in caplog.text)
        await asyncio.sleep(10 * QUICK.poll)
        assert registry.versions == Versions(1, 1)
        assert caplog.text.count("cannot be followed") == 1
        await rename_table(world.database, "away", "promotions")
        await until(lambda: "can be followed again" in caplog.text)
        await world.promote(0, 0)
        await until_served(registry, 0, 0)


async def test_a_server_reports_at_intervals(world: World, engine: LoadingEngine) -> None:
    async with world.server(engine):
        [first] = await until_reported(world, lambda state: state.ready)
        await until_reported(world, lambda state: state.seen_at > first.seen_at)


async def test_twenty_swaps_never_show_a_mixed_pair(world: World, engine: LoadingEngine) -> None:
    await add_all(world, 4)
    seen: list[Versions] = []

    async def ask(stop: asyncio.Event) -> None:
        while not stop.is_set():
            seen.append(await registry.pin())
            await asyncio.sleep(0)

    async with world.server(engine) as (registry, _):
        await until_served(registry, 0, 0)
        stop = asyncio.Event()
        asking = asyncio.create_task(ask(stop))
        for number in range(20):
            version = number % 4 + 1
            await world.promote(version, version)
            await until_served(registry, version, version)
        stop.set()
        await asking
    assert {versions.actor for versions in seen} == {0, 1, 2, 3, 4}
    assert all(versions.actor == versions.refiner for versions in seen)


async def test_a_restarted_server_needs_only_the_promotion_history(
    world: World, engine: LoadingEngine
) -> None:
    """The history of promotions is enough to know what to serve after a restart."""
    await add_all(world, 1)
    await world.promote(1, 0)
    for _ in range(2):
        async with world.server(LoadingEngine()) as (registry, _swapper):
            await until_served(registry, 1, 0)
    async with world.database.session() as session:
        assert len(await CheckpointRepository(session).promotions(10)) == 1

"""Full checkpoints replace the weights of a drained engine, all or nothing."""

import asyncio

import pytest

from app.checkpoints.registry import Registry
from app.domain.checkpoint import Role, Versions
from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call
from app.errors import CheckpointRefused, Conflict, EngineError, EngineUnavailable
from app.serving.drain import DrainBarrier
from tests.helpers.swapping import (
    LoadingEngine,
    World,
    still_waits,
    until,
    until_reported,
    until_served,
)


def weights(engine: LoadingEngine, role: Role) -> str:
    """The name whose weights the engine of a role holds."""
    return engine.weights[role][0] if role in engine.weights else f"{role}@0"


async def say(engine: LoadingEngine, name: str) -> None:
    await engine.complete(Call((Message("user", "hello"),), name, Sampling(0.0, 1.0, 4)))


async def test_a_promoted_full_checkpoint_is_served_and_rolled_back(
    world: World, engine: LoadingEngine
) -> None:
    await world.add_full(Role.ACTOR, 1)
    async with world.server(engine) as (registry, _):
        await until_served(registry, 0, 0)
        await world.promote(1, 0)
        await until_served(registry, 1, 0)
        assert engine.weights == {Role.ACTOR: ("actor@1", world.folder(Role.ACTOR, 1).resolve())}
        await say(engine, "actor@1")
        with pytest.raises(EngineError, match="actor@0"):
            await say(engine, "actor@0")
        await world.promote(0, 0)
        await until_served(registry, 0, 0)
        assert engine.weights == {Role.ACTOR: ("actor@0", world.base)}


async def test_a_promoted_full_checkpoint_is_loaded_before_a_server_is_ready(
    world: World, engine: LoadingEngine
) -> None:
    await world.add_full(Role.ACTOR, 1)
    await world.promote(1, 0)
    engine.held["actor@1"] = asyncio.Event()
    async with world.server(engine) as (registry, _):
        await until(lambda: engine.loads)
        assert not registry.ready
        engine.held["actor@1"].set()
        await until_served(registry, 1, 0)


async def test_one_engine_for_both_roles_refuses_full_weights_and_names_the_setting(
    world: World, engine: LoadingEngine
) -> None:
    engine.separate_roles = False
    await world.add_full(Role.ACTOR, 1)
    async with world.server(engine) as (registry, _):
        await world.promote(1, 0)
        [state] = await until_reported(world, lambda state: state.error)
        assert "SPAR_SEPARATE_ENGINES" in (state.error or "")
        assert registry.versions == Versions(0, 0)
        with pytest.raises(CheckpointRefused, match="SPAR_SEPARATE_ENGINES"):
            await registry.pin(actor=1)
    assert engine.loads == []
    assert "SPAR_SEPARATE_ENGINES" in ((await world.row(Role.ACTOR, 1)).error or "")


async def test_a_broken_full_checkpoint_is_refused_before_draining(
    world: World, engine: LoadingEngine
) -> None:
    await world.add_full(Role.ACTOR, 1)
    (world.folder(Role.ACTOR, 1) / "model.safetensors").write_bytes(b"")
    drain_barrier = DrainBarrier()
    inside = drain_barrier.barrier_pass()
    await inside.enter()  # a drain would wait for it
    async with world.server(engine, drain_barrier=drain_barrier) as (registry, _):
        await world.promote(1, 0)
        [state] = await until_reported(world, lambda state: state.error)
        assert "cut short" in (state.error or "")
        assert registry.versions == Versions(0, 0)
    assert engine.loads == []


async def test_weights_are_replaced_when_the_last_request_has_ended(
    world: World, engine: LoadingEngine
) -> None:
    await world.add_full(Role.ACTOR, 1)
    drain_barrier = DrainBarrier()
    running, coming = drain_barrier.barrier_pass(), drain_barrier.barrier_pass()
    async with world.server(engine, drain_barrier=drain_barrier) as (registry, _):
        await until_served(registry, 0, 0)
        await running.enter()
        await world.promote(1, 0)
        entering = asyncio.create_task(coming.enter())
        await asyncio.sleep(0.3)
        if entering.done():  # it ended before the swapper's poll
            coming.leave()
        assert registry.versions == Versions(0, 0)
        assert engine.loads == []
        running.leave()
        await until_served(registry, 1, 0)
        await entering


async def test_a_checkpoint_for_other_weights_cannot_be_pinned(
    world: World, engine: LoadingEngine
) -> None:
    await world.add_full(Role.ACTOR, 1)
    await world.add(Role.ACTOR, 2)
    await world.add_on(1, Role.ACTOR, 3)
    async with world.server(engine) as (registry, _):
        await until_served(registry, 0, 0)
        for version in (1, 3):
            with pytest.raises(Conflict, match=r"needs the weights of actor@1.*actor@0"):
                await registry.pin(actor=version)
        await registry.pin(actor=2)
        await world.promote(1, 0)
        await until_served(registry, 1, 0)
        assert registry.loaded == frozenset()
        for version in (0, 2):
            with pytest.raises(Conflict, match=r"needs the weights of actor@0.*actor@1"):
                await registry.pin(actor=version)
        assert (await registry.pin(actor=3)).actor == 3
    assert (await world.row(Role.ACTOR, 2)).error is None


async def test_an_adapter_brings_the_weights_it_was_trained_on(
    world: World, engine: LoadingEngine
) -> None:
    await world.add_full(Role.ACTOR, 1)
    await world.add_on(1, Role.ACTOR, 2)
    await world.add(Role.ACTOR, 3)
    async with world.server(engine) as (registry, _):
        for version, base_checkpoint in (
            (2, "actor@1"),
            (3, "actor@0"),
            (2, "actor@1"),
            (1, "actor@1"),
        ):
            await world.promote(version, 0)
            await until_served(registry, version, 0)
            assert weights(engine, Role.ACTOR) == base_checkpoint


async def test_an_adapter_for_other_full_weights_is_refused(
    world: World, engine: LoadingEngine
) -> None:
    await world.add_full(Role.ACTOR, 1)
    await world.add(Role.ACTOR, 2, parent=1)  # recorded as its child, but made for the base
    async with world.server(engine) as (registry, _):
        await world.promote(1, 0)
        await until_served(registry, 1, 0)
        with pytest.raises(CheckpointRefused, match="another base model"):
            await registry.pin(actor=2)


async def test_if_one_role_cannot_be_replaced_neither_is(
    world: World, engine: LoadingEngine
) -> None:
    await world.add(Role.ACTOR, 1)
    await world.add_full(Role.ACTOR, 2)
    await world.add_full(Role.REFINER, 2)
    engine.troubles["refiner@2"] = CheckpointRefused("the engine cannot load it")
    async with world.server(engine) as (registry, _):
        await world.promote(1, 0)
        await until_served(registry, 1, 0)
        await world.promote(2, 2)
        await until_reported(world, lambda state: state.error)
        assert registry.versions == Versions(1, 0)
        assert registry.intact
        assert weights(engine, Role.ACTOR) == "actor@0"
        assert "actor@1" in engine.adapters, "the adapter was not loaded again"
        await say(engine, "actor@1")


async def test_a_failed_replacement_has_been_undone_when_it_ends(
    world: World, engine: LoadingEngine
) -> None:
    """Requests are admitted again at once then."""
    await world.add_full(Role.ACTOR, 1)
    await world.add_full(Role.REFINER, 1)
    engine.troubles["refiner@1"] = CheckpointRefused("the engine cannot load it")
    registry = await world.registry(engine)
    registry.activate(Versions())
    needed = await registry.needed(Versions(1, 1))
    with pytest.raises(CheckpointRefused):
        await registry.replace(needed, Versions(1, 1))
    assert registry.intact
    await say(engine, "actor@0")


async def test_an_engine_that_cannot_go_back_gets_what_it_can_serve(
    world: World, engine: LoadingEngine
) -> None:
    for version in (1, 2):
        await world.add_full(Role.ACTOR, version)
    await world.add_full(Role.REFINER, 2)
    engine.troubles["refiner@2"] = CheckpointRefused("the engine cannot load it")
    async with world.server(engine) as (registry, _):
        await world.promote(1, 0)
        await until_served(registry, 1, 0)
        engine.troubles["actor@1"] = CheckpointRefused("not any more")
        await world.promote(2, 2)
        await until_served(registry, 0, 0)
        assert weights(engine, Role.ACTOR) == "actor@0"
        await until(lambda: registry.intact)


async def test_an_unavailable_engine_is_retried(world: World, engine: LoadingEngine) -> None:
    await world.add_full(Role.ACTOR, 1)
    engine.troubles["actor@1"] = EngineUnavailable("restarting")
    async with world.server(engine) as (registry, _):
        await until_served(registry, 0, 0)
        await world.promote(1, 0)
        await until(lambda: engine.loads)
        assert registry.versions == Versions(0, 0)
        del engine.troubles["actor@1"]
        await until_served(registry, 1, 0)


async def test_an_adapter_that_is_being_loaded_is_not_left_on_new_weights(
    world: World, engine: LoadingEngine
) -> None:
    """The load continues after its caller was cancelled."""
    await world.add(Role.ACTOR, 1)
    await world.add_full(Role.ACTOR, 2)
    engine.held["actor@1"] = asyncio.Event()
    async with world.server(engine) as (registry, _):
        await until_served(registry, 0, 0)
        asking = asyncio.create_task(registry.pin(actor=1))
        await until(lambda: "actor@1" in engine.loads)
        asking.cancel()
        await world.promote(2, 0)
        await asyncio.sleep(0.2)
        assert engine.loads == ["actor@1"]
        engine.held["actor@1"].set()
        await until_served(registry, 2, 0)
        assert registry.loaded == frozenset()
        assert engine.adapters == {}


async def test_requests_during_ten_swaps_are_never_refused(
    world: World, engine: LoadingEngine
) -> None:
    for version in (1, 2):
        await world.add_full(Role.ACTOR, version)
    drain_barrier, stop = DrainBarrier(), asyncio.Event()
    served: set[int] = set()

    async def ask(registry: Registry) -> None:
        while not stop.is_set():
            barrier_pass = drain_barrier.barrier_pass()
            await barrier_pass.enter()
            try:
                versions = await registry.pin()
                async with barrier_pass.working():
                    await asyncio.sleep(0.001)
                    await say(engine, versions.served_name(Role.ACTOR))
                served.add(versions.actor)
            finally:
                barrier_pass.leave()

    async with world.server(engine, drain_barrier=drain_barrier) as (registry, _):
        await until_served(registry, 0, 0)
        asking = [asyncio.create_task(ask(registry)) for _ in range(4)]
        for number in range(10):
            await world.promote(number % 3, 0)
            await until_served(registry, number % 3, 0)
            await asyncio.sleep(0.01)
        stop.set()
        await asyncio.gather(*asking)
    assert served == {0, 1, 2}


async def test_a_full_checkpoint_pinned_while_it_loads_is_not_loaded_as_an_adapter(
    world: World, engine: LoadingEngine
) -> None:
    await world.add_full(Role.ACTOR, 1)
    registry = await world.registry(engine)
    registry.activate(Versions())
    engine.held["actor@1"] = asyncio.Event()
    versions = Versions(actor=1)
    replacing = asyncio.create_task(registry.replace(await registry.needed(versions), versions))
    await until(lambda: engine.loads)
    asking = asyncio.create_task(registry.resolve("actor@1"))
    assert await still_waits(asking)
    engine.held["actor@1"].set()
    await replacing
    assert await asking == (Role.ACTOR, 1)
    assert (await world.row(Role.ACTOR, 1)).error is None

"""A checkpoint is verified and loaded once, before anything is pinned to it."""

import asyncio
import shutil

import pytest

from app.checkpoints.registry import Registry
from app.domain.checkpoint import Role, Versions
from app.errors import CheckpointRefused, EngineUnavailable, NotFound
from tests.helpers.swapping import LoadingEngine, World, still_waits, until


async def loaded(world: World, engine: LoadingEngine) -> Registry:
    """A registry that has loaded `actor@1`."""
    await world.add(Role.ACTOR, 1)
    registry = await world.registry(engine)
    await registry.resolve("actor@1")
    return registry


async def test_nothing_is_pinned_before_the_first_versions(
    world: World, engine: LoadingEngine
) -> None:
    registry = await world.registry(engine)
    assert not registry.ready
    with pytest.raises(EngineUnavailable):
        _ = registry.versions
    with pytest.raises(EngineUnavailable):
        await registry.pin()
    registry.activate(Versions())
    assert registry.ready
    assert await registry.pin() == Versions(0, 0)


async def test_the_base_models_are_recorded_and_always_there(
    world: World, engine: LoadingEngine
) -> None:
    registry = await world.registry(engine)
    assert await registry.resolve("actor@0") == (Role.ACTOR, 0)
    assert (await world.row(Role.REFINER, 0)).model == str(world.base)
    assert engine.loads == []


async def test_a_named_checkpoint_is_loaded_from_its_folder(
    world: World, engine: LoadingEngine
) -> None:
    await world.add(Role.ACTOR, 1)
    registry = await world.registry(engine)
    assert await registry.resolve("actor@1") == (Role.ACTOR, 1)
    assert engine.adapters == {"actor@1": world.folder(Role.ACTOR, 1).resolve()}
    assert registry.loaded == {(Role.ACTOR, 1)}


async def test_requests_for_one_checkpoint_load_it_once(
    world: World, engine: LoadingEngine
) -> None:
    await world.add(Role.ACTOR, 1)
    registry = await world.registry(engine)
    await asyncio.gather(*(registry.resolve("actor@1") for _ in range(8)))
    await registry.resolve("actor@1")
    assert engine.loads == ["actor@1"]


async def test_cancelling_one_waiter_does_not_cancel_the_load(
    world: World, engine: LoadingEngine
) -> None:
    await world.add(Role.ACTOR, 1)
    registry = await world.registry(engine)
    engine.held["actor@1"] = asyncio.Event()
    waiting = [asyncio.create_task(registry.resolve("actor@1")) for _ in range(2)]
    await until(lambda: engine.loads)
    waiting[0].cancel()
    await asyncio.wait(waiting[:1])
    engine.held["actor@1"].set()
    assert await waiting[1] == (Role.ACTOR, 1)
    assert engine.loads == ["actor@1"]


@pytest.mark.parametrize("name", ["actor@7", "actor", "actor@", "actor@-1", "writer@1", "actor@1x"])
async def test_an_unknown_name_is_not_found(world: World, engine: LoadingEngine, name: str) -> None:
    registry = await world.registry(engine)
    with pytest.raises(NotFound, match=name):
        await registry.resolve(name)


async def test_a_broken_checkpoint_is_refused_and_its_row_says_why(
    world: World, engine: LoadingEngine
) -> None:
    await world.add(Role.REFINER, 2)
    world.damage(Role.REFINER, 2)
    registry = await world.registry(engine)
    with pytest.raises(CheckpointRefused, match=r"^refiner@2 cannot be served") as caught:
        await registry.resolve("refiner@2")
    assert "cut short" in caught.value.message
    assert (await world.row(Role.REFINER, 2)).error == caught.value.message
    assert engine.loads == []


async def test_a_repaired_checkpoint_is_loaded_and_its_error_cleared(
    world: World, engine: LoadingEngine
) -> None:
    await world.add(Role.ACTOR, 1)
    shutil.copytree(world.folder(Role.ACTOR, 1), world.data / "backup")
    world.damage(Role.ACTOR, 1)
    registry = await world.registry(engine)
    with pytest.raises(CheckpointRefused):
        await registry.resolve("actor@1")
    shutil.rmtree(world.folder(Role.ACTOR, 1))
    shutil.copytree(world.data / "backup", world.folder(Role.ACTOR, 1))
    await registry.resolve("actor@1")
    assert (await world.row(Role.ACTOR, 1)).error is None


async def test_what_the_engine_refuses_is_refused(world: World, engine: LoadingEngine) -> None:
    await world.add(Role.ACTOR, 1)
    engine.troubles["actor@1"] = CheckpointRefused("too many dimensions")
    registry = await world.registry(engine)
    with pytest.raises(CheckpointRefused, match="too many dimensions"):
        await registry.resolve("actor@1")
    assert "too many dimensions" in ((await world.row(Role.ACTOR, 1)).error or "")


async def test_an_unavailable_engine_is_not_recorded_as_an_error_of_the_checkpoint(
    world: World, engine: LoadingEngine
) -> None:
    await world.add(Role.ACTOR, 1)
    engine.troubles["actor@1"] = EngineUnavailable("away")
    registry = await world.registry(engine)
    with pytest.raises(EngineUnavailable):
        await registry.resolve("actor@1")
    assert (await world.row(Role.ACTOR, 1)).error is None
    engine.troubles.clear()
    await registry.resolve("actor@1")


async def test_an_unfinished_checkpoint_is_refused(world: World, engine: LoadingEngine) -> None:
    await world.add(Role.ACTOR, 1, digest=None, path=None)
    registry = await world.registry(engine)
    with pytest.raises(CheckpointRefused, match="training has not finished"):
        await registry.resolve("actor@1")


@pytest.mark.parametrize("path", ["../elsewhere", "/tmp", "checkpoints/link"])
async def test_a_folder_outside_the_data_folder_is_refused(
    world: World, engine: LoadingEngine, path: str
) -> None:
    await world.add(Role.ACTOR, 1, path=path)
    (world.data / "checkpoints" / "link").symlink_to(world.base)
    registry = await world.registry(engine)
    with pytest.raises(CheckpointRefused, match="outside the data folder"):
        await registry.resolve("actor@1")


async def test_an_engine_with_smaller_adapters_refuses(world: World, engine: LoadingEngine) -> None:
    await world.add(Role.ACTOR, 1)
    registry = await world.registry(engine)
    engine.max_adapter_rank = 1
    with pytest.raises(CheckpointRefused, match="the engine takes at most 1"):
        await registry.resolve("actor@1")
    engine.max_adapter_rank, engine.adapter_targets = 16, frozenset({"o_proj"})
    with pytest.raises(CheckpointRefused, match="only o_proj"):
        await registry.resolve("actor@1")


async def test_a_request_may_pin_other_versions_than_those_served(
    world: World, engine: LoadingEngine
) -> None:
    await world.add(Role.ACTOR, 1)
    await world.add(Role.REFINER, 1)
    registry = await world.registry(engine)
    registry.activate(Versions())
    assert await registry.pin(actor=1) == Versions(1, 0)
    assert await registry.pin(refiner=1) == Versions(0, 1)
    assert await registry.pin(1, 1) == Versions(1, 1)
    assert registry.versions == Versions(0, 0)
    with pytest.raises(NotFound):
        await registry.pin(actor=2)


async def test_a_pin_during_a_swap_is_not_mixed(world: World, engine: LoadingEngine) -> None:
    """The other role has the version served when the request arrived."""
    for version in (1, 2):
        await world.add(Role.ACTOR, version)
    registry = await world.registry(engine)
    registry.activate(Versions(0, 0))
    engine.held["actor@2"] = asyncio.Event()
    pinning = asyncio.create_task(registry.pin(actor=2))
    await until(lambda: engine.loads)
    registry.activate(Versions(1, 5))
    engine.held["actor@2"].set()
    assert await pinning == Versions(2, 0)


async def test_only_unused_adapters_are_unloaded(world: World, engine: LoadingEngine) -> None:
    for version in (1, 2, 3):
        await world.add(Role.ACTOR, version)
    registry = await world.registry(engine)
    for version in (1, 2, 3):
        await registry.prepare(Role.ACTOR, version)
    registry.activate(Versions(actor=2))
    await registry.retire({(Role.ACTOR, 1)}, idle_seconds=3600)
    assert sorted(engine.adapters) == ["actor@1", "actor@2", "actor@3"]
    await registry.retire({(Role.ACTOR, 1)}, idle_seconds=0)
    assert sorted(engine.adapters) == ["actor@1", "actor@2"]
    assert world.folder(Role.ACTOR, 3).is_dir()
    await registry.resolve("actor@3")
    assert "actor@3" in engine.adapters


async def test_an_adapter_requested_during_its_unload_is_loaded_again(
    world: World, engine: LoadingEngine
) -> None:
    registry = await loaded(world, engine)
    engine.held["unload actor@1"] = asyncio.Event()
    retiring = asyncio.create_task(registry.retire(set(), idle_seconds=0))
    await until(lambda: engine.unloads)
    asking = asyncio.create_task(registry.resolve("actor@1"))
    assert await still_waits(asking)
    engine.held["unload actor@1"].set()
    await asyncio.gather(retiring, asking)
    assert engine.loads == ["actor@1", "actor@1"]
    assert "actor@1" in engine.adapters


async def test_a_failed_unload_is_retried(world: World, engine: LoadingEngine) -> None:
    registry = await loaded(world, engine)
    engine.troubles["unload actor@1"] = EngineUnavailable("away")
    with pytest.raises(EngineUnavailable):
        await registry.retire(set(), idle_seconds=0)
    engine.troubles.clear()
    await registry.retire(set(), idle_seconds=0)
    assert engine.adapters == {}
    assert registry.loaded == frozenset()

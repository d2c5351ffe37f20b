"""The stage that repairs: by any mode, or not at all."""

import pytest

from app.domain.checkpoint import Role
from app.domain.iteration import IterationOptions, Stage
from app.domain.search import Mode
from tests.helpers.iterating import OPTIONS, World


def with_data(**values: object) -> IterationOptions:
    """The usual options, with some of the data's replaced."""
    data = OPTIONS.data.model_copy(update=values)
    return OPTIONS.model_copy(update={"data": data})


@pytest.mark.parametrize("mode", Mode)
async def test_every_mode_repairs(world: World, mode: Mode) -> None:
    one = await world.queue(with_data(mode=mode))
    await world.run(one)
    stages = {stage.name: stage for stage in (await world.iteration(one)).stages}
    metrics = stages[Stage.REFINE].metrics
    assert metrics["searches"] > 0
    assert metrics["nodes"] >= metrics["searches"]
    if mode is Mode.GREEDY:
        assert metrics["nodes"] == metrics["searches"]


async def test_without_repairs_only_on_policy_pairs_exist(world: World) -> None:
    one = await world.queue(with_data(refine=False, on_policy_pairs=1))
    await world.run(one)
    assert (await world.items(one)).get(Stage.REFINE, 0) == 0
    pairs = await world.samples(one, Role.ACTOR)
    assert pairs
    assert all(pair.search_id is None for pair in pairs)

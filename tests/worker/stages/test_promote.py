"""Promotion happens once, and never overrides an administrator."""

from app.db.checkpoints import CheckpointRepository
from app.domain.checkpoint import CheckpointKind, CheckpointStatus, PromotionCause, Role, Versions
from app.domain.iteration import Policy, Stage
from app.evaluation.statistics import RoleReport, compare
from tests.helpers.iterating import World
from worker.context import StageRun
from worker.stages.promote import promote

CANDIDATES = {Role.ACTOR: 1, Role.REFINER: 1}
REPORTS = {
    role: RoleReport(role, compare("metric", [1.0, 0.0], [0.0, 1.0]), (), 2) for role in Role
}


async def measured(world: World, policy: Policy) -> StageRun:
    """The last stage of an iteration whose candidates were measured."""
    work = await world.work(await world.queue(promote=policy))
    async with work.lease.session() as session:
        checkpoints = CheckpointRepository(session)
        for role in Role:
            await checkpoints.begin(
                role, kind=CheckpointKind.LORA, model="base", parent=0, iteration_id=work.id
            )
            await checkpoints.complete(role, 1, "some/path", "0" * 64)
    return StageRun(work, Stage.PROMOTE)


async def promotions(world: World) -> list[Versions]:
    async with world.database.session() as session:
        return [one.versions for one in await CheckpointRepository(session).promotions(9)]


async def status(world: World, role: Role) -> CheckpointStatus:
    async with world.database.session() as session:
        found = await CheckpointRepository(session).get(role, 1)
    assert found is not None
    return found.status


async def by_hand(world: World, versions: Versions) -> None:
    async with world.database.session() as session:
        await CheckpointRepository(session).promote(versions, PromotionCause.PROMOTE)


async def test_promoting_twice_promotes_once_both_roles_together(world: World) -> None:
    stage = await measured(world, Policy.ALWAYS)
    for _ in range(2):
        await promote(stage, CANDIDATES, REPORTS)
    assert await promotions(world) == [Versions(1, 1)]


async def test_second_run_keeps_a_rollback(world: World) -> None:
    stage = await measured(world, Policy.ALWAYS)
    await promote(stage, CANDIDATES, REPORTS)
    await by_hand(world, Versions(0, 0))
    await promote(stage, CANDIDATES, REPORTS)
    assert (await promotions(world))[0] == Versions(0, 0)


async def test_manual_promotion_is_kept_when_the_gate_rejects(world: World) -> None:
    stage = await measured(world, Policy.GATE)
    await by_hand(world, Versions(1, 0))
    await promote(stage, CANDIDATES, REPORTS)
    assert await promotions(world) == [Versions(1, 0)]
    assert await status(world, Role.ACTOR) is CheckpointStatus.PROMOTED
    assert await status(world, Role.REFINER) is CheckpointStatus.REJECTED


async def test_other_role_keeps_its_manual_promotion(world: World) -> None:
    stage = await measured(world, Policy.ALWAYS)
    await by_hand(world, Versions(0, 1))
    await promote(stage, {Role.ACTOR: 1}, {Role.ACTOR: REPORTS[Role.ACTOR]})
    assert (await promotions(world))[0] == Versions(1, 1)

"""A site with stored iterations and measurements, for tests and screenshots."""

from app.db.evaluations import EvaluationRepository, NewEvaluation
from app.db.iterations import IterationRepository
from app.domain.checkpoint import Role, Versions
from app.domain.iteration import Policy, Status
from app.evaluation.base import Metric
from app.evaluation.report import Findings
from tests.helpers.evaluating import plan_of
from tests.web.serving import Site


async def play(served: Site, *, promote: Policy = Policy.ALWAYS) -> str:
    """Run one iteration to its end, and return its id."""
    iteration = await served.player.queue(promote=promote)
    await play_out(served, iteration)
    return iteration


async def play_out(served: Site, iteration: str) -> None:
    """Run the remaining stages of an iteration, as a worker does."""
    await served.player.run(iteration)
    async with served.services.database.session() as session:
        await IterationRepository(session).finish(iteration, Status.SUCCEEDED)


async def measure(served: Site, *values: float) -> None:
    """Store a benchmark run of each actor version from 0 on."""
    async with served.services.database.session() as session:
        runs = EvaluationRepository(session)
        for version, value in enumerate(values):
            run = await runs.add(NewEvaluation(plan_of(versions=Versions(version, 0)), 80))
            metric = Metric("prompts", value, value - 0.05, value + 0.05, 80)
            await runs.finish(run, Findings([metric]).to_values())


async def until_served(served: Site, role: Role, version: int) -> None:
    """Wait until the server serves this version."""
    await served.until(lambda: served.services.registry.versions.of(role) == version)

"""A self-play iteration, from prompts to a better checkpoint (SPaR, arXiv 2412.11605).

Every stage takes the results of the stages before it. Results are in the database: an iteration is
resumed by running it again, which skips what is stored.
"""

from app.domain.iteration import IterationKind, Stage
from worker.context import IterationContext
from worker.stages.build import build, build_from_conversations
from worker.stages.evaluate import evaluate
from worker.stages.judge import judge
from worker.stages.promote import promote
from worker.stages.prompts import choose_prompts
from worker.stages.refine import refine
from worker.stages.respond import respond
from worker.stages.train import train


async def run_iteration(context: IterationContext) -> None:
    """Run an iteration, or the rest of it.

    Raises:
        LeaseLost: Another worker has taken over.
        SparError: The iteration fails for this reason.
    """
    async with context.stage(Stage.PROMPTS) as stage:
        prompts = await choose_prompts(stage)

    if context.iteration.kind is IterationKind.BOOTSTRAP:
        async with context.stage(Stage.BUILD) as stage:
            data = await build_from_conversations(stage)
    else:
        async with context.stage(Stage.RESPOND) as stage:
            responses = await respond(stage, prompts.training)
        async with context.stage(Stage.JUDGE) as stage:
            judged = await judge(stage, prompts.training, responses)
        async with context.stage(Stage.REFINE) as stage:
            repairs = await refine(stage, prompts.training, judged)
        async with context.stage(Stage.BUILD) as stage:
            data = await build(stage, prompts.training, judged, repairs)

    async with context.stage(Stage.TRAIN) as stage:
        candidates = await train(stage, data)
    async with context.stage(Stage.EVALUATE) as stage:
        reports = await evaluate(stage, prompts.evaluation, candidates)
    async with context.stage(Stage.PROMOTE) as stage:
        await promote(stage, candidates, reports)

"""Sample several responses to every prompt from the actor."""

from collections.abc import Sequence

from app.concurrency import gather_or_cancel
from app.domain.checkpoint import Role
from app.domain.prompt import Prompt
from app.domain.search import Sampling, derive_seed
from worker.context import ItemResult, StageRun

Responses = tuple[tuple[str, ...], ...]
"""The responses to each prompt, in the order of the prompts."""


async def respond(stage: StageRun, prompts: Sequence[Prompt]) -> Responses:
    """Sample `data.responses` responses to each prompt from the incumbent actor."""
    context, data = stage.context, stage.context.options.data
    actor = context.incumbents.served_name(Role.ACTOR)

    def sampling(*path: int) -> Sampling:
        seed = derive_seed(context.options.seed, "respond", *path)
        return Sampling(data.temperature, data.top_p, data.max_tokens, seed=seed)

    async def all_of(key: str) -> ItemResult:
        index = int(key)
        calls = (
            context.respond(prompts[index], actor=actor, sampling=sampling(index, number))
            for number in range(data.responses)
        )
        return await gather_or_cancel(*calls), None

    results = await stage.each([str(index) for index in range(len(prompts))], all_of)
    responses = tuple(tuple(texts) for texts in results.values())
    stage.metrics["responses"] = sum(map(len, responses))
    return responses

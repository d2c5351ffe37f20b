"""The actor answers every prompt several times."""

from collections.abc import Sequence

from app.domain.checkpoint import Role
from app.domain.prompt import Prompt
from app.domain.search import Sampling, derive_seed
from app.engine.base import ignore_delta
from app.search.run import WHOLE_CALL
from worker.context import BACKGROUND_PRIORITY, ItemResult, StageRun, gather_or_cancel

Responses = tuple[tuple[str, ...], ...]
"""The responses to each prompt, in the order of the prompts."""


async def respond(stage: StageRun, prompts: Sequence[Prompt]) -> Responses:
    """Sample responses to each prompt from the incumbent actor."""
    context, data = stage.context, stage.context.options.data

    async def one(prompt: Prompt, *path: int) -> str:
        completion = await context.roles.actor.respond(
            prompt,
            model=context.incumbents.served_name(Role.ACTOR),
            sampling=Sampling(
                temperature=data.temperature,
                top_p=data.top_p,
                max_tokens=data.max_tokens,
                seed=derive_seed(context.options.seed, "respond", *path),
            ),
            priority=BACKGROUND_PRIORITY,
            chunk_tokens=WHOLE_CALL,
            on_delta=ignore_delta,
        )
        return completion.text.strip()

    async def all_of(key: str) -> ItemResult:
        index = int(key)
        calls = (one(prompts[index], index, number) for number in range(data.responses))
        return await gather_or_cancel(*calls), None

    results = await stage.each([str(index) for index in range(len(prompts))], all_of)
    responses = tuple(tuple(texts) for texts in results.values())
    stage.metrics["responses"] = sum(map(len, responses))
    return responses

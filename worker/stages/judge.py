"""The refiner and the checkers judge every response."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.checkpoint import Role
from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.domain.search import derive_seed
from app.roles.judge import JudgeCall
from worker.context import (
    BACKGROUND_PRIORITY,
    ItemResult,
    StageRun,
    gather_or_cancel,
    judgment_record,
    read_judgment,
)
from worker.stages.respond import Responses


@dataclass(frozen=True, slots=True)
class JudgedResponse:
    """A response with its judgment."""

    text: str
    judgment: Judgment


Judged = tuple[tuple[JudgedResponse, ...], ...]
"""The judged responses to each prompt; equal texts of a prompt only once."""


async def judge(stage: StageRun, prompts: Sequence[Prompt], responses: Responses) -> Judged:
    """Judge each different response to each prompt with the incumbent refiner."""
    context, data = stage.context, stage.context.options.data

    async def one(prompt: Prompt, response: str) -> Judgment:
        how = JudgeCall(
            model=context.incumbents.served_name(Role.REFINER),
            votes=data.votes,
            accept_threshold=data.accept_threshold,
            early_stop=True,
            seed=derive_seed(context.options.seed, "judge", prompt.instruction, response),
            priority=BACKGROUND_PRIORITY,
            ties=data.ties,
        )
        return await context.roles.judge.judge(prompt, response, how)

    async def all_of(key: str) -> ItemResult:
        index = int(key)
        texts = list(dict.fromkeys(text for text in responses[index] if text))
        judgments = await gather_or_cancel(*(one(prompts[index], text) for text in texts))
        pairs = zip(texts, judgments, strict=True)
        return [{"text": text, "judgment": judgment_record(found)} for text, found in pairs], None

    results = await stage.each([str(index) for index in range(len(prompts))], all_of)
    judged = tuple(
        tuple(JudgedResponse(one["text"], read_judgment(one["judgment"])) for one in records)
        for records in results.values()
    )
    everything = [response for some in judged for response in some]
    stage.metrics |= {
        "judged": len(everything),
        "accepted": sum(response.judgment.accepted for response in everything),
        "met": sum(response.judgment.satisfied == 1.0 for response in everything),
    }
    return judged

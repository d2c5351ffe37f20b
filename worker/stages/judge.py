"""Judge every response by the refiner and the constraint checkers."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic import TypeAdapter

from app.concurrency import gather_or_cancel
from app.domain.checkpoint import Role
from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from worker.context import ItemResult, StageRun
from worker.stages.respond import Responses


@dataclass(frozen=True, slots=True)
class JudgedResponse:
    """A response with its judgment."""

    text: str
    judgment: Judgment


Judged = tuple[tuple[JudgedResponse, ...], ...]
"""The judged responses to each prompt; equal texts of a prompt only once."""

_STORED = TypeAdapter(tuple[JudgedResponse, ...])


async def judge(stage: StageRun, prompts: Sequence[Prompt], responses: Responses) -> Judged:
    """Judge each different response to each prompt with the incumbent refiner."""
    context = stage.context
    refiner = context.incumbents.served_name(Role.REFINER)

    async def one(prompt: Prompt, text: str) -> JudgedResponse:
        return JudgedResponse(
            text,
            await context.judge(prompt, text, refiner=refiner, purpose="judge", early_stop=True),
        )

    async def all_of(key: str) -> ItemResult:
        index = int(key)
        texts = dict.fromkeys(text for text in responses[index] if text)
        found = await gather_or_cancel(*(one(prompts[index], text) for text in texts))
        return _STORED.dump_python(tuple(found), mode="json"), None

    results = await stage.each([str(index) for index in range(len(prompts))], all_of)
    judged = tuple(map(_STORED.validate_python, results.values()))
    everything = [response for some in judged for response in some]
    stage.metrics |= {
        "judged": len(everything),
        "accepted": sum(response.judgment.accepted for response in everything),
        "met": sum(response.judgment.satisfied == 1.0 for response in everything),
    }
    return judged

"""`POST /judge`: let the refiner and the checkers judge a response."""

from fastapi import APIRouter, Request

from app.api.deps import Services, ServicesDep
from app.api.render import judge_out
from app.api.requests import pinned, prompt_from
from app.api.schemas import JudgeIn, JudgeOut
from app.api.streaming import while_connected
from app.domain.checkpoint import Role
from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.domain.search import Usage
from app.errors import PromptTooLong
from app.roles.judge import JudgeCall, judge_messages
from app.search.context_budget import SLACK
from app.search.run import TokenBudget
from app.serving.admission import preparing

router = APIRouter(tags=["answer"])


@router.post("/judge")
async def judge(body: JudgeIn, request: Request, services: ServicesDep) -> JudgeOut:
    """Judge a response: every vote with its critique, and every constraint's result."""
    slot, usage = services.admission.enter(), Usage()
    async with preparing(slot):
        prompt = prompt_from(body, services)
        await _fits(prompt, body.response, services)
        versions = await pinned(body.checkpoint, services)

    def count_vote() -> None:
        usage.votes += 1

    async def work() -> Judgment:
        how = JudgeCall(
            model=versions.served_name(Role.REFINER),
            votes=body.search.votes,
            accept_threshold=body.search.accept_threshold,
            early_stop=body.search.early_stop,
            seed=body.seed,
            quick_verdict=services.settings.quick_verdict if body.search.quick_verdict else None,
        )
        token_budget = TokenBudget(usage, max_tokens=None)
        try:
            async with slot.turn():
                return await services.roles.judge.judge(
                    prompt, body.response, how, on_delta=token_budget, on_vote=count_vote
                )
        finally:
            slot.release()

    judgment = await while_connected(request, work())
    usage.judgments += 1
    services.observer.metrics.usage("judge", usage)
    return judge_out(judgment, versions, usage)


async def _fits(prompt: Prompt, response: str, services: Services) -> None:
    """Raises `PromptTooLong` when prompt, response and critique do not fit the context."""
    needed = await services.engine.count_tokens(judge_messages(prompt, response))
    needed += services.settings.critique_tokens + SLACK
    if needed > services.engine.context_tokens:
        raise PromptTooLong(
            f"judging this needs {needed} tokens; the model's context holds"
            f" {services.engine.context_tokens}",
            field="response",
        )

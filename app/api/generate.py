"""`POST /generate`: answer by search. `POST /judge`: judge a given response."""

from fastapi import APIRouter, Request, Response

from app.api.deps import Services, ServicesDep
from app.api.render import generate_out, judge_out
from app.api.requests import pinned, prompt_from, search_request
from app.api.schemas import GenerateIn, GenerateOut, JudgeIn, JudgeOut
from app.api.streaming import LiveSearch, event_source, search_events, while_connected
from app.domain.checkpoint import Role
from app.domain.judgment import Judgment
from app.domain.prompt import Prompt
from app.domain.search import Usage
from app.engine.base import CallContext, count_into
from app.errors import PromptTooLong
from app.roles.judge import JudgeOptions, judge_messages
from app.search.base import OnEvent, SearchRequest, SearchResult, ignore_event
from app.search.context_budget import SLACK
from app.search.run import run_search
from app.serving.admission import QueueSlot, preparing

router = APIRouter(tags=["answer"])


@router.post(
    "/generate",
    response_model=GenerateOut,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def generate(
    body: GenerateIn, request: Request, services: ServicesDep
) -> Response | GenerateOut:
    """Answer an instruction by greedy decoding, best-of-N, iterative refinement or tree search.

    With `stream` the response is a stream of server-sent events: `start`, `node`, `judged`,
    `accepted`, `delta` (text of a greedy answer), then `final` with the whole answer, or `error`.
    """
    slot = services.admission.enter()
    async with preparing(slot):
        search = await search_request(body, services)

    async def run(on_event: OnEvent) -> SearchResult:
        return await answer(search, services, slot, on_event)

    if body.stream:
        events = search_events(search, LiveSearch(run), include_tree=body.include_tree)
        return event_source(events, services)
    result = await while_connected(request, run(ignore_event))
    return generate_out(result, include_tree=body.include_tree)


async def answer(
    search: SearchRequest, services: Services, slot: QueueSlot, on_event: OnEvent
) -> SearchResult:
    """Wait for the request's turn, run the search, and have it stored."""
    deadline_ms = search.budget.deadline_ms
    try:
        async with slot.turn(None if deadline_ms is None else deadline_ms / 1000):
            with services.observer.search(search) as watched:
                on_event = watched.wrap(on_event)
                result = await run_search(search, services.roles, on_event, watched.on_phase)
                watched.ended(result)
    finally:
        slot.release()
    services.recorder.submit(result)
    return result


@router.post("/judge")
async def judge(body: JudgeIn, request: Request, services: ServicesDep) -> JudgeOut:
    """Judge a response: every vote with its critique, and every constraint's result."""
    slot, usage = services.admission.enter(), Usage()
    async with preparing(slot):
        prompt = prompt_from(body, services)
        await _check_length(prompt, body.response, services)
        versions = await pinned(body.checkpoint, services)

    def count_vote() -> None:
        usage.votes += 1

    async def work() -> Judgment:
        options = JudgeOptions(
            votes=body.search.votes,
            accept_threshold=body.search.accept_threshold,
            early_stop=body.search.early_stop,
            seed=body.seed,
            quick_verdict=services.settings.quick_verdict if body.search.quick_verdict else None,
        )
        context = CallContext(versions.served_name(Role.REFINER), on_delta=count_into(usage))
        try:
            async with slot.turn():
                return await services.roles.judge.judge(
                    prompt, body.response, options, context, on_vote=count_vote
                )
        finally:
            slot.release()

    judgment = await while_connected(request, work())
    usage.judgments += 1
    services.observer.metrics.usage("judge", usage)
    return judge_out(judgment, versions, usage)


async def _check_length(prompt: Prompt, response: str, services: Services) -> None:
    """Check the length.

    Raises:
        PromptTooLong: prompt, response and critique exceed the context.
    """
    needed = await services.engine.count_tokens(judge_messages(prompt, response))
    needed += services.settings.critique_tokens + SLACK
    if needed > services.engine.context_tokens:
        raise PromptTooLong(
            f"judging this needs {needed} tokens; the model's context has"
            f" {services.engine.context_tokens}",
            field="response",
        )

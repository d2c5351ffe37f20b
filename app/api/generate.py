"""`POST /generate`: answer by search."""

from fastapi import APIRouter, Request, Response

from app.api.deps import Services, ServicesDep
from app.api.render import generate_out
from app.api.requests import search_request
from app.api.schemas import GenerateIn, GenerateOut
from app.api.streaming import LiveSearch, event_source, search_events, while_connected
from app.search.base import OnEvent, SearchRequest, SearchResult, ignore_event
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

    With `stream` the answer comes as server-sent events: `start`, `node`, `judged`, `accepted`,
    `delta` (text of a greedy answer), then `final` with the whole answer, or `error`.
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
                on_event = watched.beside(on_event)
                result = await run_search(search, services.roles, on_event, watched.on_phase)
                watched.ended(result)
    finally:
        slot.release()
    services.recorder.submit(result)
    return result

"""The OpenAI door: `/v1/chat/completions` and `/v1/models`."""

import time
from collections.abc import AsyncIterator, Callable

from fastapi import APIRouter, Request, Response
from sse_starlette import ServerSentEvent
from ulid import ULID

from app.api.deps import Services, ServicesDep
from app.api.disconnect import while_connected
from app.api.events import LiveSearch, event_source
from app.api.generate import answer
from app.api.live import Live
from app.api.openai_plain import chat_chunks, chat_out, check_length, complete_all, plain_calls
from app.api.openai_schemas import ChatChunkOut, ChatIn, ChatOut, Head, ModelOut, ModelsOut
from app.api.openai_search import chat_search, searched_chat_chunks, searched_chat_out
from app.api.problems import problem
from app.domain.checkpoint import Role, served_name
from app.domain.options import Mode
from app.engine.base import Completion, Delta
from app.errors import InvalidRequest, NotFound, SparError
from app.search.base import SearchEvent, SearchResult, ignore_event

router = APIRouter(prefix="/v1", tags=["openai"])

SEARCH_FIELDS = ("search", "budget", "constraints")


@router.get("/models")
async def models(services: ServicesDep) -> ModelsOut:
    """Both roles, and the actor with every search mode."""
    names = [*Role, *(f"{Role.ACTOR}:{mode}" for mode in Mode)]
    return ModelsOut(data=[ModelOut(id=name, created=services.started_at) for name in names])


@router.post(
    "/chat/completions",
    response_model=ChatOut,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def chat_completions(
    body: ChatIn, request: Request, services: ServicesDep
) -> Response | ChatOut:
    """Chat completions: `actor` and `refiner` answer plainly, `actor:MODE` searches.

    A last assistant message is continued word for word (plain models only).
    """
    role, mode = _model(body.model)
    if mode is None:
        return await _plain(body, role, request, services)
    return await _searched(body, mode, request, services)


async def _plain(
    body: ChatIn, role: Role, request: Request, services: Services
) -> Response | ChatOut:
    for name in SEARCH_FIELDS:
        if getattr(body, name) is not None:
            raise InvalidRequest(
                f"`{name}` needs a search mode, such as model `actor:bfs`", field=name
            )
    if body.include_tree:
        raise InvalidRequest("`include_tree` needs a search mode", field="include_tree")
    version = services.versions.actor if role is Role.ACTOR else services.versions.refiner
    calls = plain_calls(body, served_name(role, version), services.settings.max_tokens)
    head = _head(body, services, f"chatcmpl-{ULID()}")
    if not body.stream:
        work = complete_all(calls, services.engine, services.admission.enter())
        return chat_out(head, await while_connected(request, work))
    await check_length(calls[0], services.engine)
    ticket = services.admission.enter()

    async def run(report: Callable[[tuple[int, Delta]], None]) -> list[Completion]:
        return await complete_all(calls, services.engine, ticket, report)

    include_usage = body.stream_options is not None and body.stream_options.include_usage
    return event_source(_sse(chat_chunks(head, Live(run), include_usage=include_usage)), services)


async def _searched(
    body: ChatIn, mode: Mode, request: Request, services: Services
) -> Response | ChatOut:
    search = await chat_search(body, mode, services)
    head = _head(body, services, search.id)
    ticket = services.admission.enter()

    async def run(on_event: Callable[[SearchEvent], None]) -> SearchResult:
        return await answer(search, services, ticket, on_event)

    if body.stream:
        return event_source(_sse(searched_chat_chunks(head, LiveSearch(run), body)), services)
    result = await while_connected(request, run(ignore_event))
    return searched_chat_out(head, result, include_tree=body.include_tree)


def _model(name: str) -> tuple[Role, Mode | None]:
    """`actor`, `refiner` or `actor:MODE`. Raises `NotFound` with the names there are."""
    role, colon, mode = name.partition(":")
    if role in list(Role) and not colon:
        return Role(role), None
    if role == Role.ACTOR and mode in list(Mode):
        return Role.ACTOR, Mode(mode)
    raise NotFound(
        f"there is no model {name!r}: use actor, refiner, or actor with a mode, such as actor:bfs"
        f" ({', '.join(Mode)})",
        field="model",
    )


def _head(body: ChatIn, services: Services, answer_id: str) -> Head:
    versions = services.versions
    return Head(
        id=answer_id,
        created=int(time.time()),
        model=body.model,
        system_fingerprint="+".join(
            (served_name(Role.ACTOR, versions.actor), served_name(Role.REFINER, versions.refiner))
        ),
    )


async def _sse(chunks: AsyncIterator[ChatChunkOut | SparError]) -> AsyncIterator[ServerSentEvent]:
    async for chunk in chunks:
        if isinstance(chunk, SparError):
            yield ServerSentEvent(f'{{"error": {problem(chunk).model_dump_json()}}}')
            return
        yield ServerSentEvent(chunk.model_dump_json())
    yield ServerSentEvent("[DONE]")

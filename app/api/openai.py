"""The OpenAI endpoint: `/v1/chat/completions` and `/v1/models`."""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace

from fastapi import APIRouter, Request, Response
from sse_starlette import ServerSentEvent
from ulid import ULID

from app.api.deps import Services, ServicesDep
from app.api.generate import answer
from app.api.openai_plain import chat_chunks, chat_out, check_length, complete_all, plain_calls
from app.api.openai_schemas import ChatChunkOut, ChatIn, ChatOut, Head, ModelOut, ModelsOut
from app.api.openai_search import chat_search, searched_chat_chunks, searched_chat_out
from app.api.problems import problem
from app.api.requests import pinned
from app.api.schemas import CheckpointIn
from app.api.streaming import Live, LiveSearch, event_source, while_connected
from app.domain.checkpoint import Role, Versions, parse_served_name
from app.domain.search import Mode
from app.engine.base import Completion, Delta
from app.errors import InvalidRequest, NotFound, SparError
from app.observe.logs import note_background
from app.search.base import SearchEvent, SearchResult, ignore_event
from app.serving.admission import QueueSlot, preparing

router = APIRouter(prefix="/v1", tags=["openai"])

SEARCH_FIELDS = ("search", "budget", "constraints", "response")


@dataclass(frozen=True, slots=True)
class ModelName:
    """A model name such as `actor`, `refiner@3` or `actor@12:bfs`, parsed."""

    role: Role
    version: int | None = None
    mode: Mode | None = None


def parse_model(name: str) -> ModelName:
    """Parse a model name.

    Raises:
        NotFound: lists the names there are.
    """
    base, colon, mode = name.partition(":")
    checkpoint = parse_served_name(base)
    model = None
    if checkpoint is not None:
        model = ModelName(*checkpoint)
    elif base in list(Role):
        model = ModelName(Role(base))
    if model is not None and not colon:
        return model
    if model is not None and model.role is Role.ACTOR and mode in list(Mode):
        return replace(model, mode=Mode(mode))
    raise NotFound(
        f"there is no model {name!r}: use actor or refiner, optionally with a version, such as"
        f" actor@12; actor also with a mode, such as actor:bfs or actor@12:bfs ({', '.join(Mode)})",
        field="model",
    )


def model_names(served: Versions | None) -> list[str]:
    """The names that `/v1/models` lists: roles, search modes, and the versions served now."""
    versions = [] if served is None else [served.served_name(role) for role in Role]
    return [*Role, *(f"{Role.ACTOR}:{mode}" for mode in Mode), *versions]


def wanted_checkpoint(model: ModelName, body: CheckpointIn | None) -> CheckpointIn:
    """The versions requested by the name and by the field `checkpoint`.

    Raises:
        InvalidRequest: the two contradict each other.
    """
    wanted = {} if body is None else body.model_dump(exclude_none=True)
    if model.version is not None and wanted.setdefault(model.role, model.version) != model.version:
        raise InvalidRequest(
            f"`model` asks for version {model.version} of the {model.role}, and `checkpoint` for"
            f" version {wanted[model.role]}",
            field=f"checkpoint.{model.role}",
        )
    return CheckpointIn(**wanted)


@router.get("/models")
async def models(services: ServicesDep) -> ModelsOut:
    """Both roles, the actor with every search mode, and the versions served now."""
    registry = services.registry
    names = model_names(registry.versions if registry.ready else None)
    created, context = services.started_at, services.engine.context_tokens
    return ModelsOut(
        data=[ModelOut(id=name, created=created, max_model_len=context) for name in names]
    )


@router.post(
    "/chat/completions",
    response_model=ChatOut,
    responses={200: {"content": {"text/event-stream": {}}}},
)
async def chat_completions(
    body: ChatIn, request: Request, services: ServicesDep
) -> Response | ChatOut:
    """Chat completions: `actor` and `refiner` complete, `actor:MODE` searches.

    A role may have a version (`actor@12`, `actor@12:bfs`); the default is the one served now.
    Without a mode, a last assistant message is continued.
    """
    model = parse_model(body.model)
    checkpoint = wanted_checkpoint(model, body.checkpoint)
    if model.mode is None:
        return await _plain(body, model.role, checkpoint, request, services)
    return await _searched(body, model.mode, checkpoint, request, services)


async def _plain(
    body: ChatIn, role: Role, checkpoint: CheckpointIn, request: Request, services: Services
) -> Response | ChatOut:
    for name in SEARCH_FIELDS:
        if getattr(body, name) is not None:
            raise InvalidRequest(
                f"`{name}` requires a search mode, such as model `actor:bfs`", field=name
            )
    if body.include_tree:
        raise InvalidRequest("`include_tree` requires a search mode", field="include_tree")
    slot = _slot(body, services)
    async with preparing(slot):
        versions = await pinned(checkpoint, services)
        calls = plain_calls(body, versions.served_name(role), services.settings.max_tokens)
        head = _head(body, versions, f"chatcmpl-{ULID()}")
        if body.stream:
            await check_length(calls[0], services.engine)

    async def run(
        report: Callable[[tuple[int, Delta]], None] | None = None,
    ) -> list[Completion]:
        completions = await complete_all(calls, services.engine, slot, report)
        services.observer.metrics.chat(completions, background=body.priority > 0)
        return completions

    if not body.stream:
        completions = await while_connected(request, run())
        return chat_out(head, completions, as_ids=body.return_tokens_as_token_ids)

    include_usage = body.stream_options is not None and body.stream_options.include_usage
    chunks = chat_chunks(
        head,
        Live(run),
        include_usage=include_usage,
        as_ids=body.return_tokens_as_token_ids,
    )
    return event_source(chunk_events(chunks), services)


async def _searched(
    body: ChatIn, mode: Mode, checkpoint: CheckpointIn, request: Request, services: Services
) -> Response | ChatOut:
    slot = services.admission.enter()
    async with preparing(slot):
        search = await chat_search(body, mode, checkpoint, services)
    head = _head(body, search.versions, search.id)

    async def run(on_event: Callable[[SearchEvent], None]) -> SearchResult:
        return await answer(search, services, slot, on_event)

    if body.stream:
        chunks = searched_chat_chunks(head, LiveSearch(run), body)
        return event_source(chunk_events(chunks), services)
    result = await while_connected(request, run(ignore_event))
    return searched_chat_out(head, result, include_tree=body.include_tree)


def _slot(body: ChatIn, services: Services) -> QueueSlot:
    """A slot of the request queue, or of the background queue for a priority above 0."""
    if body.priority > 0:
        note_background()
        return services.background.enter()
    return services.admission.enter()


def _head(body: ChatIn, versions: Versions, answer_id: str) -> Head:
    return Head(
        id=answer_id,
        created=int(time.time()),
        model=body.model,
        system_fingerprint="+".join(versions.served_name(role) for role in Role),
    )


async def chunk_events(
    chunks: AsyncGenerator[ChatChunkOut | SparError, None],
) -> AsyncGenerator[ServerSentEvent, None]:
    """Server-sent events in OpenAI's format; closing the iterator cancels the work."""
    async with aclosing(chunks):
        async for chunk in chunks:
            if isinstance(chunk, SparError):
                yield ServerSentEvent(f'{{"error": {problem(chunk).model_dump_json()}}}')
                return
            yield ServerSentEvent(chunk.model_dump_json())
    yield ServerSentEvent("[DONE]")

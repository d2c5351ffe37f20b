"""Chat completions by search: `model="actor:bfs"` and the other modes."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.api.deps import Services
from app.api.openai_plain import usage_of
from app.api.openai_schemas import (
    ChatChunkOut,
    ChatIn,
    ChatMessageOut,
    ChatOut,
    ChoiceOut,
    ChunkChoiceOut,
    DeltaOut,
    Head,
    SearchInfoOut,
    conversation,
)
from app.api.render import generate_out
from app.api.requests import search_request
from app.api.schemas import (
    BudgetIn,
    CheckpointIn,
    GenerateIn,
    MessageIn,
    SamplingIn,
    SearchIn,
)
from app.api.streaming import LiveSearch
from app.domain.search import Mode
from app.engine.base import FinishReason
from app.errors import InvalidRequest, SparError
from app.search.base import SearchRequest, SearchResult, TextDelta


async def chat_search(
    body: ChatIn, mode: Mode, checkpoint: CheckpointIn, services: Services
) -> SearchRequest:
    """The search that a chat request describes.

    Raises:
        InvalidRequest: a field has no meaning for a search; also what `search_request` raises.
    """
    if body.n != 1:
        raise InvalidRequest("`n` must be 1 with a search mode; see `search.n`", field="n")
    if body.logprobs:
        raise InvalidRequest("`logprobs` are not supported with a search mode", field="logprobs")
    messages = conversation(body.messages)
    if messages[-1].role != "user":
        raise InvalidRequest("a search mode cannot continue an assistant message", field="messages")
    generate = GenerateIn(
        messages=[MessageIn(role=message.role, content=message.content) for message in messages],
        mode=mode,
        response=body.response,
        constraints=body.constraints or [],
        search=body.search or SearchIn(),
        budget=body.budget or BudgetIn(),
        sampling=SamplingIn(
            temperature=body.temperature,
            top_p=body.top_p,
            max_tokens=body.length,
            seed=body.seed,
            stop=list(body.stops),
        ),
        checkpoint=checkpoint,
        stream=body.stream,
    )
    return await search_request(generate, services, priority=body.priority)


def searched_chat_out(head: Head, result: SearchResult, *, include_tree: bool) -> ChatOut:
    """The whole answer; `search` has what OpenAI's format does not."""
    choice = ChoiceOut(
        index=0,
        message=ChatMessageOut(content=result.best.text if result.best else ""),
        finish_reason=_finish_reason(result),
    )
    return ChatOut(
        **head,
        choices=[choice],
        usage=usage_of(result.usage.prompt_tokens, result.usage.completion_tokens),
        search=_search_info(result, include_tree=include_tree),
    )


async def searched_chat_chunks(
    head: Head, search: LiveSearch, body: ChatIn
) -> AsyncGenerator[ChatChunkOut | SparError, None]:
    """The answer in chunks: greedy text as it is generated, any other at the end."""
    streamed = False
    async with aclosing(search.follow()) as items:
        async for item in items:
            match item:
                case SparError():
                    yield item
                case TextDelta(text):
                    yield _chunk(head, text, first=not streamed)
                    streamed = True
                case SearchResult():
                    if not streamed:
                        yield _chunk(head, item.best.text if item.best else "", first=True)
                    ended = ChunkChoiceOut(
                        index=0, delta=DeltaOut(), finish_reason=_finish_reason(item)
                    )
                    info = _search_info(item, include_tree=body.include_tree)
                    yield ChatChunkOut(**head, choices=[ended], search=info)
                    if body.stream_options and body.stream_options.include_usage:
                        usage = usage_of(item.usage.prompt_tokens, item.usage.completion_tokens)
                        yield ChatChunkOut(**head, choices=[], usage=usage)


def _chunk(head: Head, text: str, *, first: bool) -> ChatChunkOut:
    delta = DeltaOut(role="assistant" if first else None, content=text)
    return ChatChunkOut(**head, choices=[ChunkChoiceOut(index=0, delta=delta)])


def _finish_reason(result: SearchResult) -> FinishReason:
    return "length" if result.best is None or result.best.partial else "stop"


def _search_info(result: SearchResult, *, include_tree: bool) -> SearchInfoOut:
    answer = generate_out(result, include_tree=include_tree)
    return SearchInfoOut.model_validate(answer, from_attributes=True)

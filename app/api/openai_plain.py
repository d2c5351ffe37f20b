"""Chat completions without a search: `model="actor"` or `"refiner"`."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

from app.api.openai_schemas import (
    ChatChunkOut,
    ChatIn,
    ChatMessageOut,
    ChatOut,
    ChatUsageOut,
    ChoiceOut,
    ChunkChoiceOut,
    DeltaOut,
    Head,
    LogprobOut,
    LogprobsOut,
    PositionOut,
    conversation,
)
from app.api.streaming import Live
from app.domain.search import Sampling, derive_seed
from app.engine.base import (
    WHOLE_CALL,
    Call,
    Completion,
    Delta,
    Engine,
    PositionLogprobs,
    TokenLogprob,
    ignore_delta,
)
from app.errors import PromptTooLong, SparError
from app.keys.limits import counting
from app.serving.admission import QueueSlot

IMPOSSIBLE = -9999.0
"""Replaces minus infinity, which JSON lacks, as in OpenAI's API and vLLM."""

OnChunk = Callable[[tuple[int, Delta]], None]


def plain_calls(body: ChatIn, model: str, default_tokens: int) -> list[Call]:
    """One engine call per choice. The first has the request's seed, the others derived ones."""
    sampling = Sampling(
        temperature=1.0 if body.temperature is None else body.temperature,
        top_p=1.0 if body.top_p is None else body.top_p,
        max_tokens=body.length or default_tokens,
        stop=body.stops,
    )
    call = Call(
        conversation(body.messages),
        model,
        sampling,
        body.priority,
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
        chunk_tokens=1 if body.stream else WHOLE_CALL,
        shown=body.stream,
        logprob_token_ids=tuple(dict.fromkeys(body.logprob_token_ids or ())),
    )
    seeds = [body.seed, *(derive_seed(body.seed, index) for index in range(1, body.n))]
    return [replace(call, sampling=replace(sampling, seed=seed)) for seed in seeds]


async def check_length(call: Call, engine: Engine) -> None:
    """Check the length before a stream begins, while the status can still report it.

    Raises:
        PromptTooLong: the conversation leaves no room for a completion.
    """
    length = await engine.count_tokens(call.messages)
    if length >= engine.context_tokens:
        raise PromptTooLong(
            f"the conversation has {length} tokens; the model's context has"
            f" {engine.context_tokens}, the answer included"
        )


async def complete_all(
    calls: list[Call], engine: Engine, slot: QueueSlot, report: OnChunk | None = None
) -> list[Completion]:
    """Run all calls concurrently when the slot has its turn; an error cancels the others."""

    def reporter(index: int) -> Callable[[Delta], None]:
        return ignore_delta if report is None else lambda delta: report((index, delta))

    try:
        async with slot.turn():
            tasks = [
                asyncio.create_task(engine.complete(call, counting(reporter(index))))
                for index, call in enumerate(calls)
            ]
            try:
                return await asyncio.gather(*tasks)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        slot.release()


def chat_out(head: Head, completions: list[Completion], *, as_ids: bool = False) -> ChatOut:
    """The whole answer; with `as_ids` log-probabilities name tokens by their ids."""
    choices = [
        ChoiceOut(
            index=index,
            message=ChatMessageOut(content=completion.text),
            logprobs=_logprobs(completion.logprobs, as_ids=as_ids),
            finish_reason=completion.finish_reason,
        )
        for index, completion in enumerate(completions)
    ]
    return ChatOut(**head, choices=choices, usage=_usage(completions))


async def chat_chunks(
    head: Head,
    work: Live[tuple[int, Delta], list[Completion]],
    *,
    include_usage: bool,
    as_ids: bool = False,
) -> AsyncGenerator[ChatChunkOut | SparError, None]:
    """The answer in chunks: text, then each choice's finish reason, then usage."""
    started: set[int] = set()
    async with aclosing(work.follow()) as items:
        async for item in items:
            match item:
                case SparError():
                    yield item
                case (int(index), Delta() as delta):
                    role = None if index in started else "assistant"
                    started.add(index)
                    choice = ChunkChoiceOut(
                        index=index,
                        delta=DeltaOut(role=role, content=delta.text),
                        logprobs=_logprobs(delta.logprobs, as_ids=as_ids),
                    )
                    yield ChatChunkOut(**head, choices=[choice])
                case list(completions):
                    for index, completion in enumerate(completions):
                        ended = ChunkChoiceOut(
                            index=index, delta=DeltaOut(), finish_reason=completion.finish_reason
                        )
                        yield ChatChunkOut(**head, choices=[ended])
                    if include_usage:
                        yield ChatChunkOut(**head, choices=[], usage=_usage(completions))


def _usage(completions: list[Completion]) -> ChatUsageOut:
    """Tokens as OpenAI counts them: the prompt once, the completions of all choices."""
    return usage_of(
        completions[0].prompt_tokens, sum(item.completion_tokens for item in completions)
    )


def usage_of(prompt_tokens: int, completion_tokens: int) -> ChatUsageOut:
    """Tokens and their total."""
    return ChatUsageOut(
        prompt_tokens=prompt_tokens,
        completion_tokens=completion_tokens,
        total_tokens=prompt_tokens + completion_tokens,
    )


def _logprobs(positions: tuple[PositionLogprobs, ...], *, as_ids: bool) -> LogprobsOut | None:
    if not positions:
        return None
    content = [
        PositionOut(
            **_logprob(position.chosen, as_ids=as_ids).model_dump(),
            top_logprobs=[_logprob(token, as_ids=as_ids) for token in position.top],
        )
        for position in positions
    ]
    return LogprobsOut(content=content)


def _logprob(token: TokenLogprob, *, as_ids: bool) -> LogprobOut:
    named = as_ids and token.id is not None
    return LogprobOut(
        token=f"token_id:{token.id}" if named else token.token,
        logprob=max(token.logprob, IMPOSSIBLE),
        bytes=list(token.token.encode("utf-8")),
    )

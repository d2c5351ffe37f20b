"""Request bodies and reply parsing for OpenAI-compatible servers, with vLLM's extensions."""

from collections.abc import Sequence
from typing import Any

from app.domain.prompt import Message
from app.engine.base import Call, Completion, Delta, FinishReason, PositionLogprobs, TokenLogprob
from app.errors import EngineError, EngineUnavailable, PromptTooLong
from app.http_client import HttpError, InvalidReply, RequestRejected
from app.replies import ChatReply, ChunkReply, LogprobReply, LogprobsReply, UsageReply

RETRY_SECONDS = 5
"""Default `Retry-After` in seconds, for servers that send none."""

_TOO_LONG = "maximum context length"
"""Contained in vLLM's error message for a prompt that exceeds the context length."""
_ID_PREFIX = "token_id:"
"""Prefix of tokens in vLLM's replies with `return_tokens_as_token_ids`."""


class ServerBusy(EngineUnavailable):
    """The server is overloaded (429 or 503), not failed."""


class CallRefused(EngineError):
    """The server rejects this call (4xx); another replica would too."""


def engine_error(error: HttpError) -> EngineError | PromptTooLong:
    """The engine error that corresponds to a failed request."""
    if isinstance(error, InvalidReply):
        return EngineError(error.message)
    if not isinstance(error, RequestRejected):
        return EngineUnavailable(error.message, retry_after=RETRY_SECONDS)
    if error.status_code in (429, 503):
        return ServerBusy(error.message, retry_after=error.retry_after or RETRY_SECONDS)
    # For a prompt that fills the context, vLLM clips max_tokens to 0 and rejects that value;
    # calls sent here have at least 1.
    does_not_fit = _TOO_LONG in error.message or error.param == "max_tokens"
    if error.status_code == 413 or (error.status_code == 400 and does_not_fit):
        return PromptTooLong(error.message)
    kind = CallRefused if 400 <= error.status_code < 500 else EngineError
    return kind(f"the server refused the call ({error.status_code}): {error.message}")


def completion_of(reply: ChatReply, call: Call) -> Completion:
    """The result of a non-streaming call.

    Raises:
        EngineError: the server ended the call early.
    """
    choice = reply.choices[0]
    logprobs = position_logprobs(choice.logprobs, call)
    return _completion(reply.text, choice.finish_reason, reply.usage, logprobs)


def _completion(
    text: str, reason: str | None, usage: UsageReply, logprobs: tuple[PositionLogprobs, ...]
) -> Completion:
    if reason not in ("stop", "length"):
        raise EngineError(f"the server ended the call early ({reason})")
    finish_reason: FinishReason = "length" if reason == "length" else "stop"
    return Completion(
        text=text,
        finish_reason=finish_reason,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        cached_tokens=usage.cached_tokens,
        logprobs=logprobs,
    )


def position_logprobs(reply: LogprobsReply | None, call: Call) -> tuple[PositionLogprobs, ...]:
    """The positions, each with `call.alternatives` top tokens."""
    if reply is None:
        return ()
    return tuple(
        PositionLogprobs(
            _token_logprob(position),
            tuple(map(_token_logprob, position.top_logprobs[: call.alternatives])),
        )
        for position in reply.content or ()
    )


def _token_logprob(reply: LogprobReply) -> TokenLogprob:
    """The token, with its id if the reply contains it."""
    number = reply.token.removeprefix(_ID_PREFIX)
    named = number != reply.token and number.isdigit()
    return TokenLogprob(reply.token, reply.logprob, int(number) if named else None)


class Streamed:
    """Accumulates the events of a streaming `POST /v1/chat/completions`.

    A server reports token counts only at the end. Until then each chunk counts as one token,
    which is exact on an idle server; the last delta has the remainder.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._text = ""
        self._counted = 0
        self._logprobs: list[PositionLogprobs] = []
        self._reason: str | None = None
        self._usage: UsageReply | None = None

    def read(self, chunk: ChunkReply) -> Delta:
        """The progress in an event, possibly empty.

        Raises:
            EngineError: the server ended the call early.
        """
        if chunk.error is not None:
            raise EngineError(f"the server aborted the call: {chunk.error.message}")
        self._usage = chunk.usage or self._usage
        if not chunk.choices:
            return Delta()
        choice = chunk.choices[0]
        self._reason = choice.finish_reason or self._reason
        text = choice.delta.content or ""
        logprobs = position_logprobs(choice.logprobs, self._call)
        if not text and not logprobs:
            return Delta()
        self._text += text
        self._logprobs += logprobs
        self._counted += 1
        return Delta(text, 1, logprobs=logprobs)

    def finish(self) -> tuple[Completion, Delta]:
        """The whole result, and a delta with the tokens not reported yet.

        Raises:
            EngineUnavailable: the stream ended early.
        """
        usage = self._usage
        if usage is None or self._reason is None:
            raise EngineUnavailable("the server's stream broke off", retry_after=RETRY_SECONDS)
        completion = _completion(self._text, self._reason, usage, tuple(self._logprobs))
        rest = max(0, usage.completion_tokens - self._counted)
        return completion, Delta(completion_tokens=rest, prompt_tokens=usage.prompt_tokens)


def chat_fields(messages: Sequence[Message]) -> dict[str, Any]:
    """The body fields of a conversation; a last assistant message is sent as a prefill.

    Without a prefill vLLM's fields are omitted, for servers that do not support them.
    """
    body = {"messages": [{"role": one.role, "content": one.content} for one in messages]}
    if messages[-1].role != "assistant":
        return body
    return {**body, "continue_final_message": True, "add_generation_prompt": False}


def chat_body(call: Call, context_tokens: int) -> dict[str, Any]:
    """The request body of a call; unset options are omitted, so that more servers accept it."""
    sampling = call.sampling
    body = {
        "model": call.model,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        # vLLM clips max_tokens to what is left, but rejects more than the context length.
        "max_tokens": min(sampling.max_tokens, context_tokens),
        **chat_fields(call.messages),
    }
    if sampling.seed is not None:
        body["seed"] = sampling.seed
    if sampling.stop:
        body["stop"] = list(sampling.stop)
    if call.priority:
        body["priority"] = call.priority
    if call.shown:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body | _logprob_fields(call)


def _logprob_fields(call: Call) -> dict[str, Any]:
    if call.logprob_token_ids:
        return {
            "logprobs": True,
            "top_logprobs": 0,
            "logprob_token_ids": list(call.logprob_token_ids),
            "return_tokens_as_token_ids": True,
        }
    return {} if call.logprobs is None else {"logprobs": True, "top_logprobs": call.logprobs}

"""What goes to an OpenAI-compatible server and what comes back, in vLLM's dialect."""

from collections.abc import Sequence
from typing import Any

import httpx
from pydantic import BaseModel, Field

from app.domain.prompt import Message
from app.engine.base import Call, Completion, Delta, FinishReason, PositionLogprobs, TokenLogprob
from app.errors import EngineError, EngineUnavailable, PromptTooLong, SparError

RETRY_SECONDS = 5
"""When to come back to a server that does not say it itself."""
_LONGEST_MESSAGE = 500

_TOO_LONG = "maximum context length"
"""In every message with which vLLM refuses a prompt that does not fit."""


class ServerBusy(EngineUnavailable):
    """The server takes no calls just now, and says so: it is not broken."""


class CallRefused(EngineError):
    """The server will not make this call, and nor would another of its kind."""


def error_of(response: httpx.Response) -> SparError:
    """The error for a response that is not a success, with the server's own message."""
    refusal = _refusal(response)
    message = _message(refusal) or f"the server answered {response.status_code} without saying why"
    status = response.status_code
    if status in (httpx.codes.TOO_MANY_REQUESTS, httpx.codes.SERVICE_UNAVAILABLE):
        return ServerBusy(message, retry_after=_retry_after(response))
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        return PromptTooLong(message)
    if status == httpx.codes.BAD_REQUEST and _is_too_long(refusal, message):
        return PromptTooLong(message)
    kind = CallRefused if response.is_client_error else EngineError
    return kind(f"the server refused the call ({status}): {message}")


def _refusal(response: httpx.Response) -> dict[str, Any]:
    """The part of the body that says what is wrong: ours, or vLLM's `error`."""
    try:
        body = response.json()
    except ValueError:
        return {"message": response.text}
    if not isinstance(body, dict):
        return {}
    error = body.get("error")
    return error if isinstance(error, dict) else body


def _message(refusal: dict[str, Any]) -> str:
    message = refusal.get("message") or refusal.get("detail") or ""
    return str(message).strip()[:_LONGEST_MESSAGE]


def _is_too_long(refusal: dict[str, Any], message: str) -> bool:
    # A prompt that fills the context to the last token leaves vLLM's clipped max_tokens at 0;
    # no call of ours asks for less than 1.
    return _TOO_LONG in message or refusal.get("param") == "max_tokens"


def _retry_after(response: httpx.Response) -> int:
    """Seconds; the header's other form, a date, is not worth reading."""
    given = response.headers.get("retry-after", "")
    return int(given) if given.isascii() and given.isdigit() else RETRY_SECONDS


_ID_PREFIX = "token_id:"
"""How vLLM names a token when asked for `return_tokens_as_token_ids`."""


class _Model(BaseModel):
    id: str
    max_model_len: int | None = None


class ModelsReply(BaseModel):
    """`GET /v1/models`."""

    data: list[_Model]


class HealthReply(BaseModel):
    """`GET /healthz` of a server of ours."""

    engine_asleep: bool = False


class TokenizeReply(BaseModel):
    """`POST /tokenize`."""

    count: int
    tokens: list[int]


class _Logprob(BaseModel):
    token: str
    logprob: float

    def value(self) -> TokenLogprob:
        """The token; its id too where the server was asked to name it by its id."""
        number = self.token.removeprefix(_ID_PREFIX)
        named = number != self.token and number.isdigit()
        return TokenLogprob(self.token, self.logprob, int(number) if named else None)


class _Position(_Logprob):
    top_logprobs: list[_Logprob] = Field(default_factory=list)


class _Logprobs(BaseModel):
    content: list[_Position] | None = None

    def values(self, call: Call) -> tuple[PositionLogprobs, ...]:
        """The positions, each with as many tokens as the call asked for."""
        return tuple(
            PositionLogprobs(
                position.value(),
                tuple(token.value() for token in position.top_logprobs[: call.alternatives]),
            )
            for position in self.content or ()
        )


class _Text(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Text
    finish_reason: str | None
    logprobs: _Logprobs | None = None


class _PromptDetails(BaseModel):
    cached_tokens: int | None = None


class _Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _PromptDetails | None = None

    @property
    def cached_tokens(self) -> int:
        """Tokens of the prompt found in the server's prefix cache, where it tells."""
        details = self.prompt_tokens_details
        return (details.cached_tokens or 0) if details else 0


class ChatReply(BaseModel):
    """`POST /v1/chat/completions`, without streaming."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage

    def completion(self, call: Call) -> Completion:
        """The result of the call. Raises `EngineError` when the server broke it off."""
        choice, usage = self.choices[0], self.usage
        logprobs = choice.logprobs
        return Completion(
            text=choice.message.content or "",
            finish_reason=_finish_reason(choice.finish_reason),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            logprobs=logprobs.values(call) if logprobs else (),
        )


class _ChunkChoice(BaseModel):
    delta: _Text = Field(default_factory=_Text)
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


class _Broken(BaseModel):
    message: str = "it does not say why"


class _Chunk(BaseModel):
    choices: list[_ChunkChoice] = Field(default_factory=list)
    usage: _Usage | None = None
    error: _Broken | None = None


class Streamed:
    """A streamed `POST /v1/chat/completions`, put together from its events.

    A server tells the tokens only at the end. Until then every piece of text counts as one, which
    it is on an idle server; the last progress has the rest.
    """

    def __init__(self, call: Call) -> None:
        self._call = call
        self._text = ""
        self._counted = 0
        self._logprobs: list[PositionLogprobs] = []
        self._reason: str | None = None
        self._usage: _Usage | None = None

    def read(self, event: str) -> Delta:
        """The progress that an event's data tells; it may be none.

        Raises `EngineError` where the server broke the call off, and pydantic's `ValidationError`.
        """
        chunk = _Chunk.model_validate_json(event)
        if chunk.error is not None:
            raise EngineError(f"the server broke the call off: {chunk.error.message}")
        self._usage = chunk.usage or self._usage
        if not chunk.choices:
            return Delta()
        choice = chunk.choices[0]
        self._reason = choice.finish_reason or self._reason
        text = choice.delta.content or ""
        logprobs = choice.logprobs.values(self._call) if choice.logprobs else ()
        if not text and not logprobs:
            return Delta()
        self._text += text
        self._logprobs += logprobs
        self._counted += 1
        return Delta(text, 1, logprobs=logprobs)

    def finish(self) -> tuple[Completion, Delta]:
        """The whole result, and the tokens that no progress told of.

        Raises `EngineUnavailable` where the stream ended in the middle.
        """
        if self._usage is None or self._reason is None:
            raise EngineUnavailable("the server's answer broke off", retry_after=RETRY_SECONDS)
        usage = self._usage
        completion = Completion(
            text=self._text,
            finish_reason=_finish_reason(self._reason),
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=usage.cached_tokens,
            logprobs=tuple(self._logprobs),
        )
        rest = max(0, usage.completion_tokens - self._counted)
        return completion, Delta(completion_tokens=rest, prompt_tokens=usage.prompt_tokens)


def _finish_reason(told: str | None) -> FinishReason:
    """Raises `EngineError` when the server broke the call off."""
    if told not in ("stop", "length"):
        raise EngineError(f"the server ended the call early ({told})")
    return "length" if told == "length" else "stop"


def chat_fields(messages: Sequence[Message]) -> dict[str, Any]:
    """The conversation; a last assistant message is marked as the one to continue.

    Without one nothing is marked, so that servers which cannot continue take the rest.
    """
    spoken = [{"role": message.role, "content": message.content} for message in messages]
    if messages[-1].role != "assistant":
        return {"messages": spoken}
    return {
        "messages": spoken,
        "continue_final_message": True,
        "add_generation_prompt": False,
    }


def chat_body(call: Call, context_tokens: int) -> dict[str, Any]:
    """The request of a call. What is not asked for is left out, so that more servers take it."""
    sampling = call.sampling
    body = {
        "model": call.model,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        # vLLM cuts a length to the room there is, but refuses one that is never there.
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

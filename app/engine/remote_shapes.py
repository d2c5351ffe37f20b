"""What goes to an OpenAI-compatible server and what comes back, in vLLM's dialect."""

from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field

from app.domain.prompt import Message
from app.engine.base import Call, Completion, PositionLogprobs, TokenLogprob
from app.errors import EngineError

_ID_PREFIX = "token_id:"
"""How vLLM names a token when asked for `return_tokens_as_token_ids`."""


class _Model(BaseModel):
    id: str
    max_model_len: int | None = None


class ModelsReply(BaseModel):
    """`GET /v1/models`."""

    data: list[_Model]


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


class ChatReply(BaseModel):
    """`POST /v1/chat/completions`, without streaming."""

    choices: list[_Choice] = Field(min_length=1)
    usage: _Usage

    def completion(self, call: Call) -> Completion:
        """The result of the call. Raises `EngineError` when the server broke it off."""
        choice, usage = self.choices[0], self.usage
        if choice.finish_reason not in ("stop", "length"):
            raise EngineError(f"the server ended the call early ({choice.finish_reason})")
        details, logprobs = usage.prompt_tokens_details, choice.logprobs
        return Completion(
            text=choice.message.content or "",
            finish_reason="length" if choice.finish_reason == "length" else "stop",
            prompt_tokens=usage.prompt_tokens,
            completion_tokens=usage.completion_tokens,
            cached_tokens=(details.cached_tokens or 0) if details else 0,
            logprobs=tuple(
                PositionLogprobs(
                    position.value(),
                    tuple(token.value() for token in position.top_logprobs[: call.alternatives]),
                )
                for position in (logprobs.content if logprobs else None) or ()
            ),
        )


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

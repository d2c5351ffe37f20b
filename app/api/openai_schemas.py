"""Request and response models of the OpenAI chat API; unsupported fields are rejected."""

from typing import Annotated, Any, Literal, Self, TypedDict

from pydantic import BaseModel, BeforeValidator, Field, field_validator, model_validator

from app.api.schemas import (
    REPAIRED,
    BudgetIn,
    CheckpointIn,
    CheckpointOut,
    ConstraintIn,
    ConstraintOut,
    NodeOut,
    NonEmptyText,
    Schema,
    SearchIn,
    Text,
    UsageOut,
)
from app.domain.prompt import Message
from app.domain.search import StopReason


class TextPart(Schema):
    type: Literal["text"]
    text: Text


def _as_parts(content: Any) -> Any:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _as_list(stop: Any) -> Any:
    return [stop] if isinstance(stop, str) else stop


# Not unions: validation errors in a union name its members, which mean nothing to clients.
Parts = Annotated[list[TextPart], Field(min_length=1)]
Content = Annotated[Parts, BeforeValidator(_as_parts, json_schema_input_type=Text | Parts)]
Strings = Annotated[list[NonEmptyText], Field(max_length=16)]
Stops = Annotated[Strings, BeforeValidator(_as_list, json_schema_input_type=NonEmptyText | Strings)]


TokenId = Annotated[int, Field(ge=0, le=2**31 - 1)]


class ChatMessageIn(Schema):
    role: Literal["system", "developer", "user", "assistant"]
    content: Content

    @property
    def text(self) -> str:
        """The content as one string."""
        return "".join(part.text for part in self.content)


class StreamOptions(Schema):
    include_usage: bool = False


class Continuing(Schema):
    """vLLM's two fields for continuing the last message.

    Here a last assistant message is always continued; the fields must agree with that.
    """

    continue_final_message: bool | None = None
    add_generation_prompt: bool | None = None

    def check_continuation(self, messages: list[ChatMessageIn]) -> None:
        """Check both fields.

        Raises:
            ValueError: a field contradicts the messages.
        """
        continued = messages[-1].role == "assistant"
        if self.continue_final_message not in (None, continued):
            raise ValueError(
                "`continue_final_message` must be true with a last assistant message, which is"
                " always continued, and false with any other"
            )
        if self.add_generation_prompt not in (None, not continued):
            raise ValueError(
                "`add_generation_prompt` must be false with a last assistant message, which is"
                " always continued, and true with any other"
            )


def check_answerable(messages: list[ChatMessageIn]) -> list[ChatMessageIn]:
    """Return the messages.

    Raises:
        ValueError: there is no message to answer or to continue.
    """
    if messages[-1].role in ("system", "developer") or not messages[-1].text.strip():
        raise ValueError("the last of `messages` must be a user or assistant text")
    if messages[-1].role == "assistant" and len(messages) == 1:
        raise ValueError("an assistant message to continue requires a user message before it")
    return messages


class ChatIn(Continuing):
    """A chat completion request.

    `search`, `budget`, `constraints`, `response` (one to repair) and `include_tree` require a
    search mode (`model="actor:bfs"`); `priority` and `checkpoint` work with every model. A model
    name may have a version (`actor@12`, `actor@12:bfs`). As in vLLM, `logprob_token_ids` selects
    the tokens whose log-probabilities are returned, instead of the most likely ones, and
    `return_tokens_as_token_ids` names tokens as `token_id:5`.
    """

    model: Text
    messages: Annotated[list[ChatMessageIn], Field(min_length=1, max_length=1000)]
    n: int = Field(1, ge=1, le=64)
    stop: Stops | None = None
    seed: int | None = Field(None, ge=0, le=2**63 - 1)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1, le=1_000_000)
    max_completion_tokens: int | None = Field(None, ge=1, le=1_000_000)
    logprobs: bool = False
    top_logprobs: int | None = Field(None, ge=0, le=20)
    logprob_token_ids: list[TokenId] | None = Field(None, max_length=128)
    return_tokens_as_token_ids: bool = False
    stream: bool = False
    stream_options: StreamOptions | None = None
    priority: int = Field(
        0,
        ge=0,
        le=1000,
        description="Above 0, the request runs at lower priority, in the background queue.",
    )
    search: SearchIn | None = None
    budget: BudgetIn | None = None
    constraints: list[ConstraintIn] | None = Field(None, max_length=64)
    response: Text | None = Field(None, description=REPAIRED)
    include_tree: bool = False
    checkpoint: CheckpointIn | None = None

    @field_validator("messages")
    @classmethod
    def _answerable(cls, messages: list[ChatMessageIn]) -> list[ChatMessageIn]:
        return check_answerable(messages)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.top_logprobs is not None and not self.logprobs:
            raise ValueError("`top_logprobs` requires `logprobs: true`")
        if self.logprob_token_ids is not None and not self.logprobs:
            raise ValueError("`logprob_token_ids` requires `logprobs: true`")
        if self.return_tokens_as_token_ids and not self.logprobs:
            raise ValueError("`return_tokens_as_token_ids` requires `logprobs: true`")
        if self.stream_options is not None and not self.stream:
            raise ValueError("`stream_options` requires `stream: true`")
        if self.max_tokens is not None and self.max_completion_tokens is not None:
            raise ValueError("give either `max_tokens` or `max_completion_tokens`, not both")
        self.check_continuation(self.messages)
        return self

    @property
    def length(self) -> int | None:
        """The length limit, by either of its two names."""
        return self.max_completion_tokens or self.max_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings as a tuple."""
        return tuple(self.stop or ())


def _is_none(value: object) -> bool:
    return value is None


class LogprobOut(BaseModel):
    token: str
    logprob: float
    bytes: list[int]


class PositionOut(LogprobOut):
    top_logprobs: list[LogprobOut]


class LogprobsOut(BaseModel):
    content: list[PositionOut]


class ChatMessageOut(BaseModel):
    role: Literal["assistant"] = "assistant"
    content: str


class ChoiceOut(BaseModel):
    index: int
    message: ChatMessageOut
    logprobs: LogprobsOut | None = Field(None, exclude_if=_is_none)
    finish_reason: Literal["stop", "length"]


class DeltaOut(BaseModel):
    role: Literal["assistant"] | None = Field(None, exclude_if=_is_none)
    content: str | None = Field(None, exclude_if=_is_none)


class ChunkChoiceOut(BaseModel):
    index: int
    delta: DeltaOut
    logprobs: LogprobsOut | None = Field(None, exclude_if=_is_none)
    finish_reason: Literal["stop", "length"] | None = None


class ChatUsageOut(BaseModel):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class SearchInfoOut(BaseModel):
    """Additional fields of the search modes, as in `POST /generate`."""

    id: str
    accepted: bool | None
    value: float | None
    critique: str | None
    constraints: list[ConstraintOut]
    stop_reason: StopReason
    checkpoint: CheckpointOut
    usage: UsageOut
    tree: list[NodeOut] | None = Field(None, exclude_if=_is_none)


class Head(TypedDict):
    """The fields that an answer and its chunks share."""

    id: str
    created: int
    model: str
    system_fingerprint: str


class ChatOut(BaseModel):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChoiceOut]
    usage: ChatUsageOut
    search: SearchInfoOut | None = Field(None, exclude_if=_is_none)


class ChatChunkOut(BaseModel):
    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    system_fingerprint: str
    choices: list[ChunkChoiceOut]
    usage: ChatUsageOut | None = Field(None, exclude_if=_is_none)
    search: SearchInfoOut | None = Field(None, exclude_if=_is_none)


class ModelOut(BaseModel):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str = "spar"
    max_model_len: int


class ModelsOut(BaseModel):
    object: Literal["list"] = "list"
    data: list[ModelOut]


def conversation(messages: list[ChatMessageIn]) -> tuple[Message, ...]:
    """The messages as domain values; the role `developer` becomes `system`."""
    return tuple(
        Message("system" if message.role == "developer" else message.role, message.text)
        for message in messages
    )

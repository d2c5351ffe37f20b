"""The JSON replies that clients read from spar and vLLM servers, as far as they are used."""

from pydantic import BaseModel, Field


class ModelReply(BaseModel):
    """One model of `GET /v1/models`; `root` is where an adapter was loaded from."""

    id: str
    root: str | None = None
    max_model_len: int | None = None


class ModelsReply(BaseModel):
    """`GET /v1/models`: the server's own model first, then its adapters."""

    data: list[ModelReply]


class HealthReply(BaseModel):
    """`GET /healthz` of a spar server."""

    engine_asleep: bool = False


class TokenizeReply(BaseModel):
    """`POST /tokenize`."""

    count: int
    tokens: list[int]


class LogprobReply(BaseModel):
    """One token and its log-probability."""

    token: str
    logprob: float


class PositionReply(LogprobReply):
    """The token chosen at one position, and the likeliest there."""

    top_logprobs: list[LogprobReply] = Field(default_factory=list)


class LogprobsReply(BaseModel):
    """Log-probabilities by position."""

    content: list[PositionReply] | None = None


class TextReply(BaseModel):
    """A message, or the next part of one."""

    content: str | None = None


class PromptDetailsReply(BaseModel):
    """How the prompt's tokens were read."""

    cached_tokens: int | None = None


class UsageReply(BaseModel):
    """Tokens of a call."""

    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: PromptDetailsReply | None = None

    @property
    def cached_tokens(self) -> int:
        """Prompt tokens found in the server's prefix cache; 0 where it does not tell."""
        details = self.prompt_tokens_details
        return (details.cached_tokens or 0) if details else 0


class ChoiceReply(BaseModel):
    """One completion of a chat."""

    message: TextReply
    finish_reason: str | None
    logprobs: LogprobsReply | None = None


class SearchReply(BaseModel):
    """What a spar server adds to a chat completion that was searched for."""

    id: str
    accepted: bool | None
    value: float | None
    usage: UsageReply


class ChatReply(BaseModel):
    """`POST /v1/chat/completions`, without streaming."""

    choices: list[ChoiceReply] = Field(min_length=1)
    usage: UsageReply
    search: SearchReply | None = None

    @property
    def text(self) -> str:
        """The first completion's text."""
        return self.choices[0].message.content or ""


class JudgeReply(BaseModel):
    """`POST /judge`."""

    accepted: bool
    value: float | None
    usage: UsageReply


class ChunkChoiceReply(BaseModel):
    """The next part of one completion of a chat."""

    delta: TextReply = Field(default_factory=TextReply)
    finish_reason: str | None = None
    logprobs: LogprobsReply | None = None


class StreamErrorReply(BaseModel):
    """Why a server ended a stream early."""

    message: str = "it does not say why"


class ChunkReply(BaseModel):
    """One event of a streamed `POST /v1/chat/completions`."""

    choices: list[ChunkChoiceReply] = Field(default_factory=list)
    usage: UsageReply | None = None
    error: StreamErrorReply | None = None

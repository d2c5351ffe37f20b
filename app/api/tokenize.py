"""`POST /tokenize`: how the model reads a text or a conversation, in vLLM's shape."""

from typing import Annotated, Self

from fastapi import APIRouter
from pydantic import BaseModel, Field, model_validator

from app.api.deps import ServicesDep
from app.api.openai_schemas import ChatMessageIn, Continuing, check_answerable, conversation
from app.api.schemas import Text

router = APIRouter(tags=["openai"])


class TokenizeIn(Continuing):
    """Either `prompt`, a bare text, or `messages`, rendered as a chat completion would.

    `model` may be any name: all models served here read alike. `add_special_tokens` (default
    true) goes with `prompt`; the chat template writes those of a conversation.
    """

    model: Text | None = None
    prompt: Text | None = None
    messages: Annotated[list[ChatMessageIn], Field(min_length=1, max_length=1000)] | None = None
    add_special_tokens: bool | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either `prompt` or `messages`")
        if self.messages is not None:
            check_answerable(self.messages)
            self.check_continuation(self.messages)
            if self.add_special_tokens:
                raise ValueError("`add_special_tokens` goes with `prompt` only")
        return self


class TokenizeOut(BaseModel):
    count: int
    max_model_len: int
    tokens: list[int]


@router.post("/tokenize")
async def tokenize(body: TokenizeIn, services: ServicesDep) -> TokenizeOut:
    """Token ids of a text or of a conversation, and their number."""
    engine = services.engine
    if body.messages is not None:
        tokens = await engine.tokenize(conversation(body.messages))
    else:
        assert body.prompt is not None, "the schema asks for one of the two"
        special = body.add_special_tokens is not False
        tokens = await engine.tokenize(body.prompt, special_tokens=special)
    return TokenizeOut(count=len(tokens), max_model_len=engine.context_tokens, tokens=tokens)

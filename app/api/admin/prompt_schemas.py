"""The JSON of the prompt pool and of the conversations for a bootstrap."""

from typing import Annotated

from pydantic import BaseModel, Field, field_validator

from app.api.schemas import ConstraintIn, MessageIn, PromptIn, Schema
from app.domain.checkpoint import Role
from app.domain.iteration import Source

MOST_AT_ONCE = 1000


class PromptsIn(Schema):
    """Prompts to play on; a text that is known already is left out."""

    prompts: Annotated[list[PromptIn], Field(min_length=1, max_length=MOST_AT_ONCE)]


class ConversationIn(Schema):
    """What one role should have said: the assistant's messages are learned."""

    role: Role
    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=1000)]

    @field_validator("messages")
    @classmethod
    def _something_to_learn(cls, messages: list[MessageIn]) -> list[MessageIn]:
        if messages[-1].role != "assistant" or not messages[-1].content.strip():
            raise ValueError("the last of `messages` must be an assistant message with text")
        return messages


class ConversationsIn(Schema):
    """Conversations for a bootstrap; one that is known already is left out."""

    conversations: Annotated[list[ConversationIn], Field(min_length=1, max_length=MOST_AT_ONCE)]


class AddedOut(BaseModel):
    """How many were new, and how many were there already."""

    added: int
    known: int


class PooledPromptOut(BaseModel):
    id: str
    source: Source
    messages: list[MessageIn]
    constraints: list[ConstraintIn]


class PromptPageOut(BaseModel):
    """How many prompts there are of each source, and one page of them, newest first."""

    counts: dict[Source, int]
    prompts: list[PooledPromptOut]
    next_cursor: str | None

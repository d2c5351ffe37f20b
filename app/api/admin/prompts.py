"""`/admin/prompts` and `/admin/conversations`: the inputs of iterations."""

from typing import Annotated

from fastapi import APIRouter, Query

from app.api.admin.schemas import (
    AddedOut,
    ConversationsIn,
    Cursor,
    PooledPromptOut,
    PromptPageOut,
    PromptsIn,
)
from app.api.deps import ServicesDep
from app.api.requests import prompt_from
from app.api.schemas import ConstraintIn, MessageIn
from app.db.prompts import Conversation, PooledPrompt, PromptRepository
from app.domain.iteration import Source
from app.domain.prompt import Message

router = APIRouter(prefix="/admin", tags=["prompts"])


@router.post("/prompts")
async def add_prompts(body: PromptsIn, services: ServicesDep) -> AddedOut:
    """Add prompts to the pool: all, or none if one is invalid."""
    prompts = [
        prompt_from(one, services, f"prompts.{index}.constraints")
        for index, one in enumerate(body.prompts)
    ]
    async with services.database.session() as session:
        added = await PromptRepository(session).add(prompts, Source.IMPORTED)
    return AddedOut(added=added, known=len(prompts) - added)


@router.get("/prompts")
async def list_prompts(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=200, description="Prompts per page.")] = 20,
    cursor: Cursor = None,
) -> PromptPageOut:
    """The pool of prompts, newest first."""
    async with services.database.session() as session:
        prompts = PromptRepository(session)
        counts = await prompts.count()
        page, next_cursor = await prompts.page(limit, cursor)
    return PromptPageOut(
        counts=dict.fromkeys(Source, 0) | counts,
        prompts=[_pooled_out(one) for one in page],
        next_cursor=next_cursor,
    )


@router.post("/conversations")
async def add_conversations(body: ConversationsIn, services: ServicesDep) -> AddedOut:
    """Add conversations for a bootstrap: all, or none if one is invalid."""
    conversations = [Conversation(one.role, _messages(one.messages)) for one in body.conversations]
    async with services.database.session() as session:
        added = await PromptRepository(session).add_conversations(conversations)
    return AddedOut(added=added, known=len(conversations) - added)


def _messages(messages: list[MessageIn]) -> tuple[Message, ...]:
    return tuple(Message(message.role, message.content) for message in messages)


def _pooled_out(pooled: PooledPrompt) -> PooledPromptOut:
    return PooledPromptOut(
        id=pooled.id,
        source=pooled.source,
        messages=[MessageIn(role=m.role, content=m.content) for m in pooled.prompt.messages],
        constraints=[
            ConstraintIn(id=one.id, kwargs=dict(one.kwargs)) for one in pooled.prompt.constraints
        ],
    )

"""`GET /admin/audit`: who changed what."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app.api.admin.schemas import Cursor
from app.api.deps import ServicesDep
from app.db.keys import AuditRepository

router = APIRouter(prefix="/admin", tags=["audit"])


class ActionOut(BaseModel):
    """One admin action."""

    id: str
    created_at: datetime
    who: str
    key_id: str | None
    client: str | None
    action: str
    status: int | None = Field(description="HTTP status; null when the end was not recorded.")


class AuditPageOut(BaseModel):
    """One page, newest first; pass `next_cursor` as `cursor` for the next one."""

    actions: list[ActionOut]
    next_cursor: str | None


@router.get("/audit")
async def list_actions(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=200, description="Actions per page.")] = 50,
    cursor: Cursor = None,
) -> AuditPageOut:
    """Admin actions, newest first: who did what when, and how it ended."""
    async with services.database.session() as session:
        page, next_cursor = await AuditRepository(session).page(limit, cursor)
    actions = [
        ActionOut(
            id=one.id,
            created_at=one.created_at,
            who=one.action.who,
            key_id=one.action.key_id,
            client=one.action.client,
            action=one.action.action,
            status=one.status,
        )
        for one in page
    ]
    return AuditPageOut(actions=actions, next_cursor=next_cursor)

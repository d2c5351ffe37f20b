"""`GET /admin/overview`: the state of this server. `GET /admin/audit`: admin actions."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app import __version__
from app.api.admin.schemas import Cursor
from app.api.deps import Services, ServicesDep
from app.db.keys import AuditRepository
from app.db.searches import SearchRepository
from app.engine.metrics import MeasuredEngine

router = APIRouter(prefix="/admin")

RECENT = timedelta(hours=24)


class OverviewOut(BaseModel):
    """The state of this server; other servers on the same database have their own."""

    version: str
    started_at: datetime
    engine_ready: bool
    checkpoints_ready: bool
    engine_restarts: int
    requests_running: int = Field(description="Running requests, background calls excluded.")
    requests_waiting: int = Field(description="Queued requests.")
    requests_most: int = Field(description="Most requests that run at the same time.")
    background_calls: int = Field(description="Running calls of the self-play worker.")
    generated_tokens: int = Field(
        description="Since the start; updated per token if the engine counts them, else when a"
        " request ends."
    )
    searches_judged: int = Field(description="Judged in the last 24 hours, by all servers.")
    searches_accepted: int = Field(description="Of these, those with an accepted answer.")
    searches_unwritten: int
    searches_lost: int


@router.get("/overview", tags=["health"])
async def overview(services: ServicesDep) -> OverviewOut:
    """Readiness, load and throughput of this server."""
    async with services.database.session() as session:
        searches = SearchRepository(session)
        judged, accepted = await searches.judged_since(datetime.now(UTC) - RECENT)
    admission = services.admission
    return OverviewOut(
        version=__version__,
        started_at=datetime.fromtimestamp(services.started_at, UTC),
        engine_ready=services.engine.ready,
        checkpoints_ready=services.registry.ready,
        engine_restarts=services.engine.restarts,
        requests_running=admission.running,
        requests_waiting=admission.waiting,
        requests_most=services.settings.max_running,
        background_calls=services.background.running,
        generated_tokens=_generated_tokens(services),
        searches_judged=judged,
        searches_accepted=accepted,
        searches_unwritten=services.recorder.pending,
        searches_lost=services.recorder.lost,
    )


def _generated_tokens(services: Services) -> int:
    engine = services.engine
    if isinstance(engine, MeasuredEngine):
        return sum(metrics.generated_tokens for metrics in engine.metrics.values())
    return services.observer.metrics.generated_tokens


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
    """One page, newest first; `cursor=next_cursor` requests the next one."""

    actions: list[ActionOut]
    next_cursor: str | None


@router.get("/audit", tags=["audit"])
async def list_actions(
    services: ServicesDep,
    limit: Annotated[int, Query(ge=1, le=200, description="Actions per page.")] = 50,
    cursor: Cursor = None,
) -> AuditPageOut:
    """Admin actions, newest first, each with its key, client and status."""
    async with services.database.session() as session:
        page, next_cursor = await AuditRepository(session).page(limit, cursor)
    actions = [
        ActionOut(id=one.id, created_at=one.created_at, status=one.status, **asdict(one.action))
        for one in page
    ]
    return AuditPageOut(actions=actions, next_cursor=next_cursor)

"""`GET /admin/overview`: this server at one glance."""

from datetime import UTC, datetime, timedelta

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app import __version__
from app.api.deps import Services, ServicesDep
from app.db.searches import SearchRepository
from app.engine.metrics import MeasuredEngine

router = APIRouter(prefix="/admin", tags=["health"])

LATELY = timedelta(hours=24)


class OverviewOut(BaseModel):
    """How this server is now. Other servers on the same database tell it of themselves."""

    version: str
    started_at: datetime
    engine_ready: bool
    checkpoints_ready: bool
    engine_restarts: int
    requests_running: int = Field(description="People's requests that are worked on.")
    requests_waiting: int = Field(description="People's requests in the queue.")
    requests_most: int = Field(description="How many run at the same time at most.")
    background_calls: int = Field(description="Calls of the self-play worker that run.")
    generated_tokens: int = Field(
        description="Generated since the start; it grows as they come where the engine counts"
        " them, and when requests end where it does not."
    )
    searches_judged: int = Field(description="Of the last 24 hours, by all servers.")
    searches_accepted: int = Field(description="Those of them with an accepted answer.")
    searches_unwritten: int
    searches_lost: int


@router.get("/overview")
async def overview(services: ServicesDep) -> OverviewOut:
    """Whether this server is well, and how busy it is."""
    async with services.database.session() as session:
        searches = SearchRepository(session)
        judged, accepted = await searches.judged_since(datetime.now(UTC) - LATELY)
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

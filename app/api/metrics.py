"""`GET /metrics`: every figure, in Prometheus' text format."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from app import __version__
from app.api.deps import Services, ServicesDep
from app.db.iterations import IterationCounts
from app.engine.base import is_asleep
from app.engine.metrics import MeasuredEngine
from app.observe.snapshot import Snapshot

router = APIRouter(tags=["health"])


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def metrics(services: ServicesDep) -> Response:
    """What this server has done and how it is, for Prometheus."""
    now = snapshot(services, await services.stored.get())
    text = generate_latest(services.observer.metrics.registry) + generate_latest(now)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


def snapshot(services: Services, iterations: IterationCounts | None) -> Snapshot:
    """How the server is at this moment."""
    engine, registry, admission = services.engine, services.registry, services.admission
    return Snapshot(
        version=__version__,
        ready=engine.ready and registry.ready,
        engine_ready=engine.ready,
        engine_asleep=is_asleep(engine),
        engine_restarts=engine.restarts,
        engine_calls=engine.unfinished,
        engines=engine.metrics if isinstance(engine, MeasuredEngine) else {},
        requests_running=admission.running,
        requests_waiting=admission.waiting,
        background_calls=services.background.running,
        versions=registry.versions if registry.ready else None,
        searches_unwritten=services.recorder.pending,
        searches_lost=services.recorder.lost,
        iterations=iterations,
    )

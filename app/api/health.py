"""Is the process alive, does the engine answer, what can be checked."""

from fastapi import APIRouter
from pydantic import BaseModel

from app import __version__
from app.api.deps import ServicesDep
from app.engine.base import is_asleep
from app.engine.process import engine_asleep
from app.errors import EngineUnavailable

router = APIRouter(tags=["health"])


class HealthOut(BaseModel):
    status: str
    version: str
    engine_ready: bool
    engine_asleep: bool
    engine_restarts: int
    engine_calls: int
    requests: int
    searches_unwritten: int
    searches_lost: int


class ReadyOut(BaseModel):
    status: str


@router.get("/healthz")
async def healthz(services: ServicesDep) -> HealthOut:
    """The process lives; also how the engine and the record of searches are doing."""
    return HealthOut(
        status="ok",
        version=__version__,
        engine_ready=services.engine.ready,
        engine_asleep=is_asleep(services.engine),
        engine_restarts=services.engine.restarts,
        engine_calls=services.engine.unfinished,
        requests=services.admission.admitted,
        searches_unwritten=services.recorder.pending,
        searches_lost=services.recorder.lost,
    )


@router.get("/readyz")
async def readyz(services: ServicesDep) -> ReadyOut:
    """200 when the engine takes calls and the promoted checkpoints are loaded, else 503."""
    if is_asleep(services.engine):
        raise engine_asleep()
    if not services.engine.ready:
        raise EngineUnavailable("the engine is starting or restarting", retry_after=10)
    if not services.registry.ready:
        raise EngineUnavailable("the checkpoints are being loaded", retry_after=5)
    return ReadyOut(status="ready")

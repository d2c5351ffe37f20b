"""The endpoints of the benchmark's server that only the benchmark uses."""

import asyncio
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, HTTPException, Request
from pydantic import BaseModel

from app.domain.checkpoint import Role, served_name
from app.domain.prompt import Message
from app.domain.search import Sampling
from app.engine.base import Call, Completion
from benchmarks.measure import Stopwatch
from benchmarks.rivals.metering import TEMPERATURE, Meter, Tally

router = APIRouter(prefix="/benchmark")


class Measured(Protocol):
    """An engine behind a meter."""

    @property
    def meter(self) -> Meter:
        """Forces and counts."""
        ...

    @property
    def unfinished(self) -> int:
        """Calls running or queued in the engine."""
        ...

    async def complete(self, call: Call) -> Completion:
        """Generate one completion."""
        ...

    async def forget(self) -> bool:
        """Empty the prefix cache; whether that could be done."""
        ...


class BeginIn(BaseModel):
    """See `Meter.begin`."""

    forced: bool
    limit: int | None = None


class RawIn(BaseModel):
    """Independent questions, all asked of the engine at once."""

    texts: list[str]
    max_tokens: int


def _engine(request: Request) -> Any:
    return request.app.state.services.engine


EngineDep = Annotated[Any, Depends(_engine)]


@router.post("/begin", status_code=204)
async def begin(body: BeginIn, engine: EngineDep) -> None:
    """Empty the prefix cache and count from zero; 409 while calls are under way."""
    measured: Measured = engine
    if measured.unfinished or not await measured.forget():
        raise HTTPException(409, "calls are under way")
    measured.meter.begin(forced=body.forced, limit=body.limit)


@router.get("/tally")
async def tally(engine: EngineDep) -> Tally:
    """What was counted since."""
    measured: Measured = engine
    return measured.meter.tally


@router.post("/raw")
async def raw(body: RawIn, engine: EngineDep) -> float:
    """The seconds the engine needs for these answers, called in its own process without HTTP."""
    measured: Measured = engine
    sampling = Sampling(TEMPERATURE, 1.0, body.max_tokens)
    calls = [
        Call((Message("user", text),), served_name(Role.ACTOR, 0), sampling) for text in body.texts
    ]
    watch = Stopwatch()
    await asyncio.gather(*(measured.complete(call) for call in calls))
    return watch.seconds

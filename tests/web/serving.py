"""The pages and their API, over a real database and a scripted engine."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from app.api import generate, searches, system
from app.api.admin import checkpoints, iterations, overview, prompts
from app.api.authentication import AuthMiddleware, Authorizer
from app.api.deps import Services
from app.api.problems import add_handlers
from app.checkpoints.registry import open_registry
from app.config.settings import Settings
from app.constraints.checker import Checker
from app.db.recorder import Recorder
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.engine.base import AdapterEngine
from app.roles.actor import Actor
from app.roles.judge import Judge
from app.roles.refiner import Refiner
from app.search.run import Roles
from app.serving.admission import Admission, Background
from app.serving.swap import Swapper, SwapTimes
from app.web.pages import add_pages
from tests.helpers.checkpoint_files import make_base
from tests.helpers.iterating import World
from tests.helpers.serving import served

TIMES = SwapTimes(poll=0.05, retry=0.05, report=2, idle=3600)
DEFAULTS = Settings(_env_file=None)


@dataclass(frozen=True, slots=True)
class Site:
    """A served application: its address, its services, and the worker of its iterations."""

    url: str
    services: Services
    player: World

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true; fails after 10 s."""
        for _ in range(1000):
            if true():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it did not become true within 10 s")


Serve = Callable[..., AbstractAsyncContextManager[Site]]
"""Serves an engine's pages over an empty database until its context ends; see `site`."""


@asynccontextmanager
async def site(
    engine: AdapterEngine,
    migrated: Path,
    folder: Path,
    checker: Checker,
    settings: Settings = DEFAULTS,
) -> AsyncIterator[Site]:
    """Serve the pages until the context ends; `migrated` is an empty database, copied here."""
    database = Database(f"sqlite+aiosqlite:///{shutil.copy(migrated, folder / 'site.db')}")
    recorder = Recorder(database)
    base = make_base(folder / "base")
    registry = await open_registry(database, folder, engine, str(base))
    registry.activate(Versions())
    admission = Admission(8, 8)
    swapper = Swapper(
        database,
        registry,
        engine,
        drain=admission.drain_barrier,
        url="http://here",
        keep=3,
        times=TIMES,
    )
    services = Services(
        settings=settings,
        engine=engine,
        checker=checker,
        roles=Roles(
            Actor(engine),
            Judge(engine, checker, temperature=0.7, critique_tokens=64),
            Refiner(engine),
            refine_temperature=0.7,
        ),
        database=database,
        recorder=recorder,
        admission=admission,
        background=Background(admission, idle=8, busy=8),
        registry=registry,
        started_at=int(time.time()),
    )
    app = FastAPI(docs_url=None, redoc_url=None)
    app.state.services = services
    app.state.authorizer = Authorizer(services.settings, database, None)
    app.add_middleware(AuthMiddleware)
    add_handlers(app)
    for routes in (generate, searches, system, iterations, checkpoints, prompts, overview):
        app.include_router(routes.router)
    add_pages(app)
    swapper.start()
    try:
        async with served(app) as url:
            yield Site(url, services, World(database, folder, base))
    finally:
        await swapper.close()
        await recorder.close(60)
        await app.state.authorizer.key_cache.close()
        await database.close()

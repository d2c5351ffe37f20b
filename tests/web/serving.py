"""The pages and what they ask, over a real database and a scripted engine."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from fastapi import FastAPI

from app.api import constraints, feedback, generate, health, searches
from app.api.admission import Admission
from app.api.background import Background
from app.api.deps import Services
from app.api.doorkeeper import Doorkeeper
from app.api.guard import Guard
from app.api.problems import add_handlers
from app.checkpoints.registry import open_registry
from app.constraints.checker import Checker
from app.db.recorder import Recorder
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.engine.base import AdapterEngine
from app.roles.actor import Actor
from app.roles.judge import Judge
from app.roles.refiner import Refiner
from app.search.expand import Roles
from app.settings import Settings
from app.web.pages import add_pages
from tests.helpers.serving import served


@dataclass(frozen=True, slots=True)
class Site:
    """A served application: its address and what it works with."""

    url: str
    services: Services

    async def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is true; fails after 10 s."""
        for _ in range(1000):
            if true():
                return
            await asyncio.sleep(0.01)
        raise AssertionError("it did not become true within 10 s")


@asynccontextmanager
async def site(
    engine: AdapterEngine, migrated: Path, folder: Path, settings: Settings | None = None
) -> AsyncIterator[Site]:
    """Serve the pages until the context ends; `migrated` is an empty database, copied here."""
    database = Database(f"sqlite+aiosqlite:///{shutil.copy(migrated, folder / 'site.db')}")
    checker, recorder = Checker(1, 2.0), Recorder(database)
    await checker.start()
    registry = await open_registry(database, folder, engine, "base")
    registry.flip(Versions())
    admission = Admission(8, 8)
    services = Services(
        settings=settings or Settings(_env_file=None),
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
        background=Background(admission, alone=8, beside_people=8),
        registry=registry,
        started_at=0,
    )
    app = FastAPI()
    app.state.services = services
    app.state.guard = Guard(services.settings, database, None)
    app.add_middleware(Doorkeeper)
    add_handlers(app)
    for routes in (generate, constraints, searches, feedback, health):
        app.include_router(routes.router)
    add_pages(app)
    try:
        async with served(app) as url:
            yield Site(url, services)
    finally:
        await recorder.close(60)
        await app.state.guard.ring.close()
        await checker.close()
        await database.close()

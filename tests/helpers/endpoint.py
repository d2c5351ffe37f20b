"""The admin endpoint as an application, over a real database and without an engine."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from app.api import searches
from app.api.admin import checkpoints, iterations, prompts
from app.api.deps import Services
from app.api.middleware import BodyLimit
from app.api.problems import add_handlers
from app.config.settings import Settings
from app.constraints.checker import Checker
from app.db.recorder import Recorder
from app.db.session import Database


def admin_door(database: Database, recorder: Recorder) -> FastAPI:
    """The application, with heartbeats every 0.05 s; its resources are closed at shutdown."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        await recorder.close(60)
        await database.close()

    # Only what the admin endpoint may use: it must work without an engine.
    services = object.__new__(Services)
    services.settings = Settings(heartbeat_seconds=0.05)
    services.checker = Checker(1, 1)
    services.database, services.recorder = database, recorder
    app = FastAPI(lifespan=lifespan)
    app.state.services = services
    app.add_middleware(BodyLimit, max_bytes=services.settings.max_body_bytes)
    add_handlers(app)
    for routes in (searches, iterations, checkpoints, prompts):
        app.include_router(routes.router)
    return app

"""spar's OpenAI endpoint over any engine, on a loopback port."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

from app.api import openai, system
from app.api.deps import Services
from app.api.problems import add_handlers
from app.checkpoints.registry import Registry
from app.config.settings import Settings
from app.constraints.checker import Checker
from app.db.recorder import Recorder
from app.db.session import Database
from app.domain.checkpoint import Versions
from app.engine.base import AdapterEngine
from app.serving.admission import Admission, Background
from tests.helpers.searching import roles


def endpoint(engine: AdapterEngine, *, running: int = 64, waiting: int = 64) -> FastAPI:
    """The routes that call the engine directly; search routes are not included."""
    database = Database("sqlite+aiosqlite://")
    registry = Registry(database, Path(), engine, "base")
    registry.activate(Versions())
    admission = Admission(running, waiting)
    app = FastAPI()
    add_handlers(app)
    app.include_router(openai.router)
    app.include_router(system.router)
    app.state.services = Services(
        settings=Settings(_env_file=None),
        engine=engine,
        checker=Checker(1, 1.0),
        roles=roles(engine),
        database=database,
        recorder=Recorder(database),
        admission=admission,
        background=Background(admission, idle=64, busy=64),
        registry=registry,
        started_at=0,
    )
    return app


@asynccontextmanager
async def served(app: Any) -> AsyncIterator[str]:
    """Serve an application until the context ends; yields its URL."""
    # Listen before the server runs, so that clients can connect at once.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        running = asyncio.create_task(server.serve(sockets=[listener]))
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            await running

"""The complete server as `spar serve` wires it, on a scripted engine."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from app import main
from app.config.settings import Settings
from tests.helpers.checkpoint_files import make_base
from tests.helpers.scripts import Play
from tests.helpers.searching import Checks
from tests.helpers.swapping import LoadingEngine, until


class OwnScriptedEngine(LoadingEngine):
    """Starts and stops immediately."""

    async def start(self) -> None:
        """No-op."""

    async def close(self) -> None:
        """No-op."""


class NoChecks(Checks):
    """A checker without results and processes, which take seconds to start."""

    def __init__(self, *_: object) -> None:
        super().__init__()

    async def start(self) -> None:
        """No-op."""

    async def close(self) -> None:
        """No-op."""

    def validate(self, *_: object) -> None:
        """Accepts everything."""


@asynccontextmanager
async def whole_server(
    patch: pytest.MonkeyPatch,
    folder: Path,
    database: Path,
    *,
    play: Play | None = None,
    checker: Callable[..., Any] = NoChecks,
    **settings: Any,
) -> AsyncIterator[FastAPI]:
    """The running application, ready; `database` is a migrated file, which becomes the server's."""
    patch.setattr(main, "VllmEngine", lambda _: OwnScriptedEngine(play or Play()))
    patch.setattr(main, "Checker", checker)
    wanted = Settings(
        _env_file=None,
        data=folder / "data",
        database_url=f"sqlite+aiosqlite:///{database}",
        worker=False,
        swap_seconds=0.05,
        **settings,
    )
    app = main.create_app(wanted, str(make_base(folder / "base")))
    async with app.router.lifespan_context(app):
        await until(lambda: app.state.services.registry.ready)
        yield app


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """A client of the application that gets a 500 response instead of the exception."""
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")

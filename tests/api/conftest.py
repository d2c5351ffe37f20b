"""The admin endpoint over a real, migrated database, without an engine."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.db.checkpoints import CheckpointRepository
from app.db.recorder import Recorder
from app.db.session import Database
from tests.helpers.endpoint import admin_door


@pytest.fixture
async def database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """The test's own database; the base model is recorded, as every server does."""
    opened = Database(f"sqlite+aiosqlite:///{shutil.copy(migrated_file, tmp_path / 'test.db')}")
    async with opened.session() as session:
        await CheckpointRepository(session).ensure_base_checkpoints("base")
    yield opened
    await opened.close()


@pytest.fixture
async def recorder(database: Database) -> AsyncIterator[Recorder]:
    """Writes searches to the database."""
    opened = Recorder(database)
    yield opened
    await opened.close(60)


@pytest.fixture
async def admin(database: Database, recorder: Recorder) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the admin endpoint."""
    transport = httpx.ASGITransport(admin_door(database, recorder))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client

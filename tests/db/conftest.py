"""A fresh, migrated SQLite file for each test."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from app.db.session import Database
from app.db.upgrade import upgrade


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty database at the newest revision; for copying, not for use."""
    path = tmp_path_factory.mktemp("database") / "migrated.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path


@pytest.fixture
def database_file(migrated_file: Path, tmp_path: Path) -> Path:
    """An empty database of the test's own."""
    return Path(shutil.copy(migrated_file, tmp_path / "test.db"))


@pytest.fixture
def url(database_file: Path) -> str:
    """The URL of the test's own database."""
    return f"sqlite+aiosqlite:///{database_file}"


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """The test's own database, opened."""
    opened = Database(url)
    yield opened
    await opened.close()


@pytest.fixture
async def impatient(url: str) -> AsyncIterator[Database]:
    """The test's own database, opened so that it does not wait for locks."""
    opened = Database(f"{url}?timeout=0")
    yield opened
    await opened.close()


@pytest.fixture
def full_disk() -> Iterator[None]:
    """SQLite refuses to let any file grow that is opened from now on."""

    def limit(connection: Any, _: object) -> None:
        connection.cursor().execute("PRAGMA max_page_count=1")

    event.listen(Engine, "connect", limit)
    yield
    event.remove(Engine, "connect", limit)

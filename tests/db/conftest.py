"""A fresh, migrated database for each test, once in SQLite and once in PostgreSQL."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from app.db.session import Database
from tests.helpers.databases import KINDS, impatient_url


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """The database the test runs on; see `tests.helpers.databases` for tests of one only."""
    return str(request.param)


@pytest.fixture
def database_file(migrated_file: Path, tmp_path: Path) -> Path:
    """An empty SQLite database of the test's own; the one of `url` where the test is SQLite's."""
    return Path(shutil.copy(migrated_file, tmp_path / "test.db"))


@pytest.fixture
def url(kind: str, request: pytest.FixtureRequest) -> str:
    """The URL of the test's own database."""
    if kind == "postgresql":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite+aiosqlite:///{request.getfixturevalue('database_file')}"


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """The test's own database, opened."""
    opened = Database(url)
    yield opened
    await opened.close()


@pytest.fixture
async def impatient(url: str) -> AsyncIterator[Database]:
    """The test's own database, opened so that it does not wait for locks."""
    opened = Database(impatient_url(url))
    yield opened
    await opened.close()


class FullDisk:
    """SQLite lets no file grow until `make_room`."""

    def __init__(self) -> None:
        self._pages = 1

    def make_room(self) -> None:
        """Free the disk."""
        self._pages = 1_000_000

    def limit(self, connection: Any, *_: object) -> None:
        """Tell a connection that is about to be used."""
        connection.cursor().execute(f"PRAGMA max_page_count={self._pages}")


@pytest.fixture
def full_disk() -> Iterator[FullDisk]:
    """The disk is full."""
    disk = FullDisk()
    event.listen(Engine, "checkout", disk.limit)
    yield disk
    event.remove(Engine, "checkout", disk.limit)

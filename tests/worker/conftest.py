"""A separate environment for each test: database, data folder, base model, scripted engine."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from shutil import copy

import pytest

from app.db.session import Database
from tests.db.conftest import database, database_file, impatient, url
from tests.helpers.checkpoint_files import make_base
from tests.helpers.iterating import World

__all__ = ["database", "database_file", "impatient", "url"]

MakeWorld = Callable[[], Awaitable[World]]


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """SQLite, unless a test asks for another database."""
    return str(getattr(request, "param", "sqlite"))


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the base model."""
    return make_base(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture
def world(database: Database, tmp_path: Path, base: Path) -> World:
    """The test's own world."""
    return World(database, tmp_path / "data", base)


@pytest.fixture
async def make_world(migrated_file: Path, tmp_path: Path, base: Path) -> AsyncIterator[MakeWorld]:
    """Makes worlds that have nothing in common but the base model."""
    async with AsyncExitStack() as stack:
        made: list[World] = []

        async def make() -> World:
            folder = tmp_path / f"world {len(made)}"
            folder.mkdir()
            file = copy(migrated_file, folder / "spar.db")
            opened = Database(f"sqlite+aiosqlite:///{file}")
            stack.push_async_callback(opened.close)
            made.append(World(opened, folder / "data", base))
            return made[-1]

        yield make

"""A base model, adapters made for it, and a database: all real, and very small."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.db.session import Database
from tests.helpers.checkpoint_files import make_base
from tests.helpers.swapping import World


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the base model."""
    return make_base(tmp_path_factory.mktemp("models") / "base")


@pytest.fixture
def database_file(migrated_file: Path, tmp_path: Path) -> Path:
    """The test's own empty database."""
    return Path(shutil.copy(migrated_file, tmp_path / "test.db"))


@pytest.fixture
async def database(database_file: Path) -> AsyncIterator[Database]:
    """The test's own database, opened."""
    opened = Database(f"sqlite+aiosqlite:///{database_file}")
    yield opened
    await opened.close()


@pytest.fixture
def world(database: Database, tmp_path: Path, base: Path) -> World:
    """The data folder and database of the test's servers."""
    return World(database, tmp_path / "data", base)

"""One PostgreSQL server for all tests, started when the first of them asks for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db.upgrade import upgrade
from tests.helpers.postgres import PostgresServer, postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """The server that tests share; each has databases of its own there."""
    with postgres_server() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres: PostgresServer) -> str:
    """The name of an empty database at the newest revision; for copying, not for use."""
    name = postgres.new_database()
    upgrade(postgres.url(name))
    return name


@pytest.fixture
def postgres_url(postgres: PostgresServer, migrated_template: str) -> Iterator[str]:
    """The URL of an empty database of the test's own."""
    name = postgres.new_database(migrated_template)
    yield postgres.url(name)
    postgres.drop_database(name)


@pytest.fixture(scope="session")
def _own_postgres() -> Iterator[PostgresServer]:
    with postgres_server() as server:
        yield server


@pytest.fixture
def own_postgres(_own_postgres: PostgresServer) -> Iterator[PostgresServer]:
    """A server that the test may stop, and that runs again for the next one."""
    yield _own_postgres
    if not _own_postgres.running:
        _own_postgres.start()


@pytest.fixture
def own_url(own_postgres: PostgresServer) -> str:
    """The URL of an empty database on the server that the test may stop."""
    url = own_postgres.url(own_postgres.new_database())
    upgrade(url)
    return url


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database at the newest revision; for copying, not for use."""
    path = tmp_path_factory.mktemp("database") / "migrated.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path

"""What all tests share: how property tests run, signals, a checker, PostgreSQL, databases."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from app.constraints.checker import Checker
from app.db.upgrade import upgrade
from tests.helpers.postgres import PostgresServer, postgres_server

# No time limit per example, which a busy machine can miss. `make test` takes the quick profile.
settings.register_profile("full", deadline=None)
settings.register_profile("quick", deadline=None, max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "full"))

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So it is in a background job of a shell. What a test starts inherits it, and would not heed
    # the interrupt that the test sends.
    signal.signal(signal.SIGINT, signal.default_int_handler)


class SharedChecker(Checker):
    """A checker that several owners may close, as each closes its own outside of tests."""

    async def close(self) -> None:
        """Keep the processes; starting them takes seconds."""

    async def end(self) -> None:
        """End the processes."""
        await super().close()


@pytest.fixture(scope="session")
def checker() -> Iterator[Checker]:
    """One pool of one process for all tests; a check may take five seconds."""
    made = SharedChecker(processes=1, seconds=5.0)
    asyncio.run(made.start())
    yield made
    asyncio.run(made.end())


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


@pytest.fixture(scope="session")
def _own_template(_own_postgres: PostgresServer) -> str:
    name = _own_postgres.new_database()
    upgrade(_own_postgres.url(name))
    return name


@pytest.fixture
def own_url(own_postgres: PostgresServer, _own_template: str) -> str:
    """The URL of an empty database on the server that the test may stop."""
    return own_postgres.url(own_postgres.new_database(_own_template))


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty SQLite database at the newest revision; for copying, not for use."""
    path = tmp_path_factory.mktemp("database") / "migrated.db"
    upgrade(f"sqlite+aiosqlite:///{path}")
    return path

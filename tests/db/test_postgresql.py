"""PostgreSQL: URLs, upgrades and errors, on a real server."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import text

from app.db.session import SESSION, Database
from app.db.tables import Base
from app.db.upgrade import upgrade
from app.errors import ConfigurationError, DatabaseError
from tests.helpers.postgres import PostgresServer


@pytest.fixture
def empty(postgres: PostgresServer) -> Iterator[str]:
    """The name of a database without tables."""
    name = postgres.new_database()
    yield name
    postgres.drop_database(name)


async def scalar(url: str, statement: str) -> Any:
    database = Database(url)
    try:
        async with database.session() as session:
            return await session.scalar(text(statement))
    finally:
        await database.close()


def has_tables(postgres: PostgresServer, name: str) -> set[str]:
    rows = postgres.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'", name)
    return {table for (table,) in rows}


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
async def test_a_plain_url_is_completed(postgres_url: str, scheme: str) -> None:
    url = postgres_url.replace("postgresql", scheme, 1)
    assert await scalar(url, "SELECT count(*) FROM searches") == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "1min"),
        ("application_name", "spar"),
    ],
)
async def test_sessions_are_set_up(postgres_url: str, name: str, value: str) -> None:
    assert await scalar(postgres_url, f"SHOW {name}") == value


async def test_parameters_of_the_url_have_precedence(postgres_url: str) -> None:
    url = f"{postgres_url}&application_name=mine&options=-clock_timeout%3D7s"
    assert await scalar(url, "SHOW application_name") == "mine"
    assert await scalar(url, "SHOW lock_timeout") == "7s"


def test_several_servers_may_upgrade_at_once(postgres: PostgresServer, empty: str) -> None:
    with ThreadPoolExecutor(4) as servers:
        list(servers.map(upgrade, [postgres.url(empty)] * 4))
    assert has_tables(postgres, empty) == {*Base.metadata.tables, "alembic_version"}


def test_an_upgrade_that_fails_half_way_changes_nothing(
    postgres: PostgresServer, empty: str
) -> None:
    postgres.execute("CREATE TABLE votes (mine TEXT)", empty)
    with pytest.raises(ConfigurationError, match='"votes" already exists'):
        upgrade(postgres.url(empty))
    assert has_tables(postgres, empty) == {"votes"}


def test_an_upgrade_hides_the_password(postgres: PostgresServer) -> None:
    url = postgres.url("nowhere").replace("spar@", "spar:secret@")
    with pytest.raises(ConfigurationError, match="no database of that name") as caught:
        upgrade(url)
    assert "secret" not in caught.value.message


Change = Callable[[PostgresServer], str]
"""From a server's URL to one that cannot be connected to."""

NOWHERE: list[tuple[str, Change, str, bool]] = [
    ("database", lambda server: server.url("nowhere"), "no database of that name", False),
    ("user", lambda server: server.url("postgres").replace("spar@", "who@"), "the user", False),
    (
        "server",
        lambda _: "postgresql://spar@/x?host=/nowhere",
        "no PostgreSQL server answers",
        True,
    ),
    ("port", lambda _: "postgresql://spar@127.0.0.1:1/x", "no PostgreSQL server answers", True),
]


@pytest.mark.parametrize(
    ("change", "words", "may_pass"), [row[1:] for row in NOWHERE], ids=[row[0] for row in NOWHERE]
)
async def test_what_is_missing_is_named(
    postgres: PostgresServer, change: Change, words: str, may_pass: bool
) -> None:
    with pytest.raises(DatabaseError, match=words) as caught:
        await scalar(change(postgres), "SELECT 1")
    assert (caught.value.retry_after is not None) == may_pass
    assert caught.value.status == 503


async def test_a_wrong_password_is_named(postgres: PostgresServer) -> None:
    postgres.execute("CREATE ROLE guarded LOGIN PASSWORD 'right'")
    rules = postgres.folder / "data" / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all guarded scram-sha-256\n{before}")
    postgres.execute("SELECT pg_reload_conf()")
    try:
        url = postgres.url("postgres").replace("spar@", "guarded:wrong@")
        with pytest.raises(DatabaseError, match="refuses the user or the password") as caught:
            await scalar(url, "SELECT 1")
        assert caught.value.retry_after is None
        assert await scalar(url.replace("wrong", "right"), "SELECT 1") == 1
    finally:
        rules.write_text(before)
        postgres.execute("SELECT pg_reload_conf()")
        postgres.execute("DROP ROLE guarded")


async def test_a_connection_that_broke_unused_is_replaced(
    postgres: PostgresServer, postgres_url: str
) -> None:
    database = Database(postgres_url)
    async with database.session() as session:
        first = await session.scalar(text("SELECT pg_backend_pid()"))
    postgres.execute(f"SELECT pg_terminate_backend({first}, 5000)")
    async with database.session() as session:
        assert await session.scalar(text("SELECT pg_backend_pid()")) != first
    await database.close()


async def test_a_connection_that_breaks_in_use_may_be_tried_again(
    postgres: PostgresServer, postgres_url: str
) -> None:
    database = Database(postgres_url)

    async def cut_off() -> None:
        async with database.session() as session:
            pid = await session.scalar(text("SELECT pg_backend_pid()"))
            postgres.execute(f"SELECT pg_terminate_backend({pid}, 5000)")
            await session.scalar(text("SELECT 1"))

    with pytest.raises(DatabaseError) as caught:
        await cut_off()
    assert caught.value.retry_after == 1
    await database.close()


async def test_an_idle_transaction_is_terminated(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(SESSION, "idle_in_transaction_session_timeout", "20ms")
    database = Database(postgres_url)

    async def stand_still() -> None:
        async with database.session() as session:
            await session.scalar(text("SELECT 1"))
            await asyncio.sleep(0.2)
            await session.scalar(text("SELECT 1"))

    with pytest.raises(DatabaseError) as caught:
        await stand_still()
    assert caught.value.retry_after == 1
    await database.close()


def test_nothing_is_left_of_a_failed_upgrade(postgres: PostgresServer) -> None:
    before = threading.active_count()
    with pytest.raises(ConfigurationError):
        upgrade(postgres.url("nowhere"))
    assert threading.active_count() == before

"""Sessions commit or roll back, SQLite's settings, and the translation of its errors."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.db.searches import SearchRepository
from app.db.session import Database
from app.errors import ConfigurationError, DatabaseError
from tests.db.building import search_id, searched
from tests.helpers.databases import on_sqlite


async def scalar(database: Database, statement: str) -> Any:
    async with database.session() as session:
        return await session.scalar(text(statement))


async def add(database: Database, number: int, response: str = "Blue.") -> None:
    async with database.session() as session:
        await SearchRepository(session).add(searched(search_id(number), text=response))


@on_sqlite
@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("foreign_keys", 1), ("synchronous", 1), ("busy_timeout", 5000)],
)
async def test_sqlite_is_set_up(database: Database, pragma: str, value: object) -> None:
    assert await scalar(database, f"PRAGMA {pragma}") == value


async def test_a_session_that_fails_leaves_nothing(database: Database) -> None:
    async def fail_half_way() -> None:
        async with database.session() as session:
            await SearchRepository(session).add(searched(search_id(1)))
            raise LookupError

    with pytest.raises(LookupError):
        await fail_half_way()
    assert await scalar(database, "SELECT count(*) FROM searches") == 0


async def test_readers_do_not_wait_for_a_writer(impatient: Database) -> None:
    async with impatient.session() as writer:
        await SearchRepository(writer).add(searched(search_id(1)))
        assert await scalar(impatient, "SELECT count(*) FROM searches") == 0
    assert await scalar(impatient, "SELECT count(*) FROM searches") == 1


async def test_a_locked_database_may_be_tried_again(
    database: Database, impatient: Database
) -> None:
    async with database.session() as other:
        await SearchRepository(other).add(searched(search_id(1)))
        with pytest.raises(DatabaseError, match="locked by another process") as caught:
            await add(impatient, 1)
    assert caught.value.retry_after == 1
    await add(impatient, 2)


@on_sqlite
async def test_a_read_only_database_is_an_error_with_a_remedy(url: str) -> None:
    read_only = Database(url.replace("///", "///file:", 1) + "?mode=ro&uri=true")
    with pytest.raises(DatabaseError, match="read-only; make the file") as caught:
        await add(read_only, 1)
    assert caught.value.retry_after is None
    await read_only.close()


@on_sqlite
@pytest.mark.usefixtures("full_disk")
async def test_a_full_disk_is_an_error_and_rolls_back(database: Database) -> None:
    with pytest.raises(DatabaseError, match="the disk is full") as caught:
        await add(database, 1, response="long " * 100_000)
    assert caught.value.retry_after == 1
    assert await scalar(database, "SELECT count(*) FROM searches") == 0


async def test_a_damaged_file_is_an_error_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database " * 100)
    damaged = Database(f"sqlite+aiosqlite:///{tmp_path}/notes.db")
    with pytest.raises(DatabaseError, match="not a usable SQLite database") as caught:
        await scalar(damaged, "SELECT 1")
    await damaged.close()
    assert caught.value.retry_after is None


async def test_a_cancelled_session_returns_its_connection(database: Database) -> None:
    async def write() -> None:
        async with database.session() as session:
            await SearchRepository(session).add(searched(search_id(1)))
            writing.set()
            await asyncio.Event().wait()

    writing = asyncio.Event()
    task = asyncio.create_task(write())
    await writing.wait()
    task.cancel()
    await asyncio.wait({task})

    await add(database, 1)
    assert await scalar(database, "SELECT count(*) FROM searches") == 1


@pytest.mark.parametrize("url", ["nonsense", "sqlite:///a.db", "nobase://host/name"])
def test_an_unsupported_url_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError, match="database URL cannot be used"):
        Database(url)

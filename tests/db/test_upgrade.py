"""Upgrades, and the errors of those that fail."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from app.db.upgrade import SCRIPTS, upgrade
from app.errors import ConfigurationError
from tests.helpers.databases import on_sqlite

# A connection that is left open, or a thread that fails, is only a warning otherwise.
pytestmark = pytest.mark.filterwarnings("error")


def refused(url: str) -> str:
    """The message, once the driver's threads have ended, so that their failures show up here."""
    before = set(threading.enumerate())
    with pytest.raises(ConfigurationError) as caught:
        upgrade(url)
    for thread in set(threading.enumerate()) - before:
        thread.join(5)
        assert not thread.is_alive()
    return caught.value.message


def execute(path: Path, statement: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection, connection:
        return connection.execute(statement).fetchall()


@on_sqlite
def test_an_upgraded_database_is_left_as_it_is(url: str, database_file: Path) -> None:
    before = execute(database_file, "SELECT * FROM sqlite_master")
    upgrade(url)
    assert execute(database_file, "SELECT * FROM sqlite_master") == before


def test_several_servers_may_upgrade_at_once(tmp_path: Path) -> None:
    path = tmp_path / "shared.db"
    with ThreadPoolExecutor(4) as servers:
        list(servers.map(upgrade, [f"sqlite+aiosqlite:///{path}"] * 4))
    assert execute(path, "SELECT count(*) FROM searches") == [(0,)]


def test_it_works_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    upgrade("sqlite+aiosqlite:///here.db")
    assert execute(tmp_path / "here.db", "SELECT count(*) FROM searches") == [(0,)]


def test_unusual_paths_are_supported(tmp_path: Path) -> None:
    folder = tmp_path / "100% (mine), ünïcode"
    folder.mkdir()
    upgrade(f"sqlite+aiosqlite:///{folder}/a.db")
    assert execute(folder / "a.db", "SELECT count(*) FROM searches") == [(0,)]


def test_the_program_may_be_in_a_folder_with_an_unusual_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "100%d").symlink_to(SCRIPTS)
    monkeypatch.setattr("app.db.upgrade.SCRIPTS", tmp_path / "100%d")
    upgrade(f"sqlite+aiosqlite:///{tmp_path}/a.db")
    assert execute(tmp_path / "a.db", "SELECT count(*) FROM searches") == [(0,)]


@on_sqlite
def test_a_read_only_database(url: str) -> None:
    message = refused(url.replace("///", "///file:", 1) + "?mode=ro&uri=true")
    assert "it is read-only; make the file and its folder writable" in message


@on_sqlite
def test_a_locked_database(url: str, database_file: Path) -> None:
    with closing(sqlite3.connect(database_file, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        assert "locked by another process" in refused(f"{url}?timeout=0")
    upgrade(url)


def test_a_file_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("not a database " * 100)
    assert "not a usable SQLite database" in refused(f"sqlite+aiosqlite:///{tmp_path}/notes.db")


def test_a_missing_folder(tmp_path: Path) -> None:
    message = refused(f"sqlite+aiosqlite:///{tmp_path}/missing/a.db")
    assert "check that its folder exists" in message
    assert str(tmp_path) in message


@on_sqlite
def test_a_database_of_a_newer_version(url: str, database_file: Path) -> None:
    execute(database_file, "UPDATE alembic_version SET version_num = '9999'")
    message = refused(url)
    assert "newer version of spar" in message
    assert "9999" in message


def test_an_upgrade_that_fails_half_way_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "taken.db"
    execute(path, "CREATE TABLE votes (mine TEXT)")
    assert "votes already exists" in refused(f"sqlite+aiosqlite:///{path}")
    assert execute(path, "SELECT name FROM sqlite_master") == [("votes",)]

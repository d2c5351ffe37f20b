import asyncio
import json
import sqlite3
from pathlib import Path

import pytest

from app.db.prompts import Feedback, FeedbackRepository
from app.db.searches import SearchRepository
from app.db.session import Database
from app.db.upgrade import upgrade
from tests.cli.replay import Run
from tests.db.building import search_id, searched


def tables(file: Path) -> set[str]:
    with sqlite3.connect(file) as database:
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in rows}


def test_upgrade_makes_the_database_and_may_be_repeated(spar: Run, tmp_path: Path) -> None:
    data = tmp_path / "data"
    for _ in range(2):
        result = spar("db", "upgrade", "--data", str(data))
        assert (result.exit_code, result.stdout) == (0, "The database is up to date.\n")
    assert {"searches", "alembic_version"} <= tables(data / "spar.db")


def test_upgrade_takes_a_url(spar: Run, tmp_path: Path) -> None:
    file = tmp_path / "other.db"
    url = f"sqlite+aiosqlite:///{file}"
    data = tmp_path / "data"
    assert spar("db", "upgrade", "--data", str(data), "--database-url", url).exit_code == 0
    assert "searches" in tables(file)


def test_a_file_that_is_no_database_is_an_error(spar: Run, tmp_path: Path) -> None:
    (tmp_path / "spar.db").write_text("not a database, and long enough to be read as one" * 20)
    result = spar("db", "upgrade", "--data", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output


@pytest.fixture
def old(tmp_path: Path) -> str:
    """The URL of a database with three searches of long ago, one of them rated."""
    url = f"sqlite+aiosqlite:///{tmp_path}/spar.db"
    upgrade(url)

    async def fill() -> None:
        database = Database(url)
        async with database.session() as session:
            for number in range(3):
                await SearchRepository(session).add(searched(search_id(number)))
            await FeedbackRepository(session).add(Feedback(search_id(0), rating=1))
        await database.close()

    asyncio.run(fill())
    return url


def test_prune_reports_how_many_and_deletes_them(spar: Run, old: str) -> None:
    prune = ("db", "prune", "--older-than", "30d", "--database-url", old)
    for _ in range(2):
        assert spar(*prune, "--dry-run").stdout == "2 searches would be deleted.\n"
    assert spar(*prune, "--keep-accepted").stdout == "Deleted 0 searches.\n"
    assert spar(*prune).stdout == "Deleted 2 searches.\n"
    assert spar(*prune).stdout == "Deleted 0 searches.\n"
    counted = spar(*prune, "--dry-run", "--json").stdout
    assert json.loads(counted) == {"searches": 0, "deleted": False}
    audit = spar("keys", "audit", "--database-url", old).stdout
    assert audit.count("db prune") == 3, "what only counts changes nothing"


@pytest.mark.parametrize("age", ["30", "soon", "-1d", "9999999w", ""])
def test_an_invalid_age_deletes_nothing(spar: Run, old: str, age: str) -> None:
    result = spar("db", "prune", f"--older-than={age}", "--database-url", old)
    assert result.exit_code == 1
    assert "write 30d" in result.stderr
    dry_run = ("db", "prune", "--older-than", "30d", "--dry-run", "--database-url", old)
    assert "2 searches" in spar(*dry_run).stdout

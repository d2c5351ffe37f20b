import sqlite3
from pathlib import Path

from app import __version__
from tests.cli.replay import Run


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


def test_a_file_that_is_no_database_is_an_error_in_words(spar: Run, tmp_path: Path) -> None:
    (tmp_path / "spar.db").write_text("not a database, and long enough to be read as one" * 20)
    result = spar("db", "upgrade", "--data", str(tmp_path))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output


def test_version(spar: Run) -> None:
    assert spar("version").stdout == f"{__version__}\n"

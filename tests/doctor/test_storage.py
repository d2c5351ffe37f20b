"""Checks of the data folder and the database: fine, and each way in which they are not."""

import shutil
import sqlite3
from pathlib import Path

from app.doctor import storage
from app.doctor.finding import Level


def test_a_folder_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert storage.data_folder(folder).level in (Level.OK, Level.WARN)
    assert not folder.parent.exists()


def test_a_folder_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    finding = storage.data_folder(file / "data")
    assert finding.level is Level.FAIL
    assert "SPAR_DATA" in finding.fix


def test_room_on_the_disk(tmp_path: Path) -> None:
    levels = [storage.room(tmp_path, free).level for free in (10**7, 10**9, 10**11)]
    assert levels == [Level.FAIL, Level.WARN, Level.OK]


def test_a_database_that_is_not_there_yet_is_not_made(tmp_path: Path) -> None:
    finding, state = storage.database(f"sqlite+aiosqlite:///{tmp_path}/spar.db")
    assert (finding.level, state) == (Level.OK, None)
    assert not list(tmp_path.iterdir())


def test_a_migrated_database_is_fine(migrated_file: Path) -> None:
    finding, state = storage.database(f"sqlite+aiosqlite:///{migrated_file}")
    assert finding.level is Level.OK
    assert state is not None
    assert state.missing == 0


def test_missing_migrations_are_counted(migrated_file: Path, tmp_path: Path) -> None:
    finding, _ = storage.database(_with_revision("0001", migrated_file, tmp_path))
    assert finding.level is Level.WARN
    assert "spar db upgrade" in finding.fix


def test_a_newer_database_wants_a_newer_program(migrated_file: Path, tmp_path: Path) -> None:
    finding, _ = storage.database(_with_revision("9999", migrated_file, tmp_path))
    assert finding.level is Level.FAIL
    assert "update spar" in finding.fix


def test_what_is_no_database_is_said(tmp_path: Path) -> None:
    file = tmp_path / "spar.db"
    file.write_text("this is a text, and a long one, for a database's header has a hundred bytes")
    for url in (f"sqlite+aiosqlite:///{file}", "nonsense", "nonsense://x"):
        finding, state = storage.database(url)
        assert (finding.level, state) == (Level.FAIL, None)
        assert "SPAR_DATABASE_URL" in finding.fix


def test_a_database_server_that_is_not_there_is_said() -> None:
    finding, _ = storage.database("postgresql+psycopg://nobody:secret@127.0.0.1:9/x")
    assert finding.level is Level.FAIL
    assert "secret" not in finding.words


def _with_revision(revision: str, migrated: Path, folder: Path) -> str:
    """The URL of a copy that says it has this revision."""
    copy = shutil.copy(migrated, folder / "copy.db")
    with sqlite3.connect(copy) as connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.close()
    return f"sqlite+aiosqlite:///{copy}"

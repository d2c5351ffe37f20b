"""The settings, and the page that lists them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings
from scripts.configuration import PAGE, page


def test_the_page_lists_the_settings_as_they_are() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_the_environment_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPAR_PORT", "8123")
    assert Settings().port == 8123


def test_a_wrong_value_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPAR_MAX_RUNNING", "0")
    with pytest.raises(ValidationError, match="max_running"):
        Settings()


def test_the_database_is_a_file_in_the_data_folder_unless_named(tmp_path: Path) -> None:
    assert Settings(data=tmp_path).url == f"sqlite+aiosqlite:///{tmp_path}/spar.db"
    assert Settings(database_url="postgresql+asyncpg://x/y").url == "postgresql+asyncpg://x/y"

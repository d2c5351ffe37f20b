"""The address of the running server in its data folder."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from app.config.settings import Settings, settings_from
from app.serving.server_file import NAME, announced, server_address

URL = "http://127.0.0.1:8123"
DEFAULT = "http://127.0.0.1:8000"


@pytest.fixture(autouse=True)
def _no_configured_address(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SPAR_HOST", "SPAR_PORT", "SPAR_DATA"):
        monkeypatch.delenv(name, raising=False)


def settings(folder: Path) -> Settings:
    return settings_from(data=folder)


def test_a_running_server_is_found_until_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with announced(folder, URL):
        assert server_address(settings(folder)) == URL
        entry = json.loads((folder / NAME).read_text())
        assert entry["pid"] == os.getpid()
        assert [file.name for file in folder.iterdir()] == [NAME]
    assert server_address(settings(folder)) == DEFAULT
    assert not (folder / NAME).exists()


def test_a_configured_port_or_host_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with announced(tmp_path, URL):
        monkeypatch.setenv("SPAR_HOST", "0.0.0.0")
        assert server_address(settings(tmp_path)) == URL, "0.0.0.0 does not name a server"
        monkeypatch.setenv("SPAR_HOST", "10.0.0.7")
        assert server_address(settings(tmp_path)) == "http://10.0.0.7:8000"
        monkeypatch.delenv("SPAR_HOST")
        monkeypatch.setenv("SPAR_PORT", "9000")
        assert server_address(settings(tmp_path)) == "http://127.0.0.1:9000"


def test_the_file_of_a_server_that_was_killed_is_ignored(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    entry = {"url": URL, "pid": ended.pid, "started_at": 1}
    (tmp_path / NAME).write_text(json.dumps(entry))
    assert server_address(settings(tmp_path)) == DEFAULT


@pytest.mark.parametrize("text", ["", "{", "[]", '{"url": 3}', '{"url": "x", "pid": 1e99}'])
def test_a_file_that_cannot_be_read_is_ignored(tmp_path: Path, text: str) -> None:
    (tmp_path / NAME).write_text(text)
    assert server_address(settings(tmp_path)) == DEFAULT


def test_the_end_of_one_server_leaves_the_entry_of_a_later_one(tmp_path: Path) -> None:
    with announced(tmp_path, "http://127.0.0.1:8001"):
        later = {"url": URL, "pid": os.getppid(), "started_at": 2}
        (tmp_path / NAME).write_text(json.dumps(later))
    assert server_address(settings(tmp_path)) == URL

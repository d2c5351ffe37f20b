"""The server process: what it prints, and where it cannot start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from app import main
from app.config.settings import settings_from
from app.db.upgrade import upgrade
from app.serving.server_file import announced

VANISHING = """
import shutil
from tests.chaos import scripted_server

def upgrade(url):
    done(url)
    shutil.rmtree({folder!r})

done, scripted_server.upgrade = scripted_server.upgrade, upgrade
scripted_server.main()
"""


def test_a_database_that_vanishes_at_the_start_is_said_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "database"
    folder.mkdir()
    url = f"sqlite+aiosqlite:///{folder}/spar.db"
    upgrade(url)
    settings = {
        "SPAR_DATABASE_URL": url,
        "SPAR_DATA": str(tmp_path / "data"),
        "SPAR_MODEL": str(tmp_path),
        "SPAR_PORT": "0",
        "SPAR_WORKER": "false",
    }
    ended = subprocess.run(
        [sys.executable, "-c", VANISHING.format(folder=str(folder))],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.rstrip().rpartition("\n")[2] == (
        "error: The database cannot be used: the file cannot be opened; check that its folder"
        " exists and that this user may write there."
    )
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(("port", "option"), [(8000, ""), (8123, " --url http://127.0.0.1:8123")])
def test_the_printed_commands_reach_this_server(
    port: int,
    option: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("SPAR_URL", "SPAR_HOST", "SPAR_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SPAR_DATA", str(tmp_path))
    settings = settings_from(port=port)
    main._print_ready(settings)
    assert f"spar demo{option}\n" in capsys.readouterr().err
    with announced(tmp_path, f"http://127.0.0.1:{port}"):
        main._print_ready(settings)
    assert "spar demo\n" in capsys.readouterr().err, "the command finds it by itself"

"""The server process where it cannot start."""

import os
import subprocess
import sys
from pathlib import Path

from app.db.upgrade import upgrade

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

"""What the checking processes load."""

import os
import subprocess
import sys
from pathlib import Path

LOADED = """
import sys
import app.constraints.library
names = ("datasets", "scipy", "sklearn")
print([name for name in names if hasattr(sys.modules.get(name), "__file__")])
import scipy
"""


def test_nothing_large_is_loaded_that_no_checker_uses_and_it_can_be_imported_afterwards(
    tmp_path: Path,
) -> None:
    for name in ("scipy", "sklearn"):  # neither is installed for the tests; NLTK finds these
        (tmp_path / f"{name}.py").touch()
    done = subprocess.run(
        [sys.executable, "-c", LOADED],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    assert done.stdout.strip() == "[]"

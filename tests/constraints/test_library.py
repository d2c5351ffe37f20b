"""What the checking processes load."""

import subprocess
import sys

LOADED = """
import sys
import app.constraints.library
names = ("datasets", "scipy", "sklearn")
print([name for name in names if hasattr(sys.modules.get(name), "__file__")])
import scipy
"""


def test_nothing_large_is_loaded_that_no_checker_uses_and_it_can_be_imported_afterwards() -> None:
    done = subprocess.run(
        [sys.executable, "-c", LOADED], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"

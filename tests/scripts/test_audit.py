"""What the audit concludes from what pip-audit says and how it ends."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts.audit import Report, audit

CLEAN = {"name": "jinja2", "version": "3.1.6", "vulns": []}
BAD = {"name": "aiohttp", "version": "3.8.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["4"]}]}
UNFIXED = {"name": "idna", "version": "3.4", "vulns": [{"id": "PYSEC-2", "fix_versions": []}]}
SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI"}


def pip_audit(
    folder: Path, found: list[dict[str, Any]] | None, *, fails_at: str = "nothing"
) -> list[str]:
    """A command that behaves as pip-audit: prints a report, or fails at one of the three steps."""
    program = folder / "pip_audit.py"
    report = "" if found is None else json.dumps({"dependencies": found, "fixes": []})
    program.write_text(
        "import sys\n"
        f"if {fails_at!r} in sys.argv: sys.exit('details\\ncause: {fails_at} failed')\n"
        "if '--format' in sys.argv:\n"
        f"    print({report!r})\n"
        f"    sys.exit({any(each.get('vulns') for each in found or ())})\n"
    )
    return [sys.executable, str(program)]


@pytest.mark.parametrize(
    ("found", "status", "words"),
    [
        ([CLEAN, CLEAN], 0, "2 requirements looked up, no known vulnerability"),
        ([CLEAN, SKIPPED], 0, "1 requirements looked up, no known vulnerability\nnote: .* torch"),
        ([CLEAN, BAD], 1, "aiohttp 3.8.0: PYSEC-1, fixed by 4"),
        ([UNFIXED, SKIPPED], 1, "idna 3.4: PYSEC-2, fixed by no version"),
        ([SKIPPED, SKIPPED], 0, "note: .* not looked up. .* no vulnerability data"),
        (None, 0, "note: .* not looked up"),
    ],
    ids=["clean", "partly", "vulnerable", "unfixed", "a mirror without data", "no report"],
)
def test_the_exit_status_says_whether_something_is_known(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    found: list[dict[str, Any]] | None,
    status: int,
    words: str,
) -> None:
    assert audit(pip_audit(tmp_path, found), ["cpu.txt"]) == status
    printed = "".join(capfd.readouterr())
    assert re.search(words, printed), printed


@pytest.mark.parametrize(("step", "status"), [("--version", 0), ("--dry-run", 2), ("--format", 0)])
def test_what_fails_decides_what_a_failure_means(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], step: str, status: int
) -> None:
    assert audit(pip_audit(tmp_path, [BAD], fails_at=step), ["cpu.txt"]) == status
    out, err = capfd.readouterr()
    assert f"cause: {step} failed" in out + err
    assert ("note:" in out) == (status == 0)
    assert ("error:" in err) == (status == 2)


@pytest.mark.parametrize("output", ["", "[]", "{}", '{"dependencies": [{}]}', "null"])
def test_something_else_is_not_a_report(output: str) -> None:
    with pytest.raises(ValueError, match=r"pip-audit|Expecting value"):
        Report.read(output)

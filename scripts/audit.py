"""Checks pinned requirements for known vulnerabilities: `python scripts/audit.py FILE`.

Runs pip-audit through uv, in three steps whose exit status says what a failure means: fetching
pip-audit fails if the package index cannot be reached, reading the requirements fails if they are
wrong, and the audit itself then only if the vulnerability service cannot be reached. A mirror that
holds packages but no vulnerability data skips every requirement; pip-audit calls that success.

Exit status: 0 if no vulnerability is known, or if nothing could be checked (which is printed
as a note); 1 if there is a known vulnerability; 2 if the requirements cannot be read.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

PIP_AUDIT = "pip-audit@2.10.1"


@dataclass(frozen=True)
class Report:
    """What pip-audit found.

    Attributes:
        audited: number of requirements that were checked.
        skipped: names of those without vulnerability data in the index.
        vulnerable: one line for each known vulnerability.
    """

    audited: int
    skipped: tuple[str, ...]
    vulnerable: tuple[str, ...]

    @classmethod
    def read(cls, output: str) -> Report:
        """Parse what `pip-audit --format json` prints.

        Raises:
            ValueError: it is not pip-audit's JSON.
        """
        try:
            found = json.loads(output)["dependencies"]
            audited = [each for each in found if "skip_reason" not in each]
            vulnerable = tuple(
                describe(each["name"], each["version"], vulnerability)
                for each in audited
                for vulnerability in each["vulns"]
            )
            skipped = tuple(each["name"] for each in found if "skip_reason" in each)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a report of pip-audit: {error!r}") from error
        return cls(len(audited), skipped, vulnerable)


def describe(name: str, version: str, vulnerability: dict[str, list[str] | str]) -> str:
    """Return one line on a vulnerability: package, version, identifier, fixed versions."""
    fixes = ", ".join(vulnerability["fix_versions"]) or "no version"
    return f"{name} {version}: {vulnerability['id']}, fixed by {fixes}"


def main() -> int:
    """Audit the given files and return the exit status."""
    parser = argparse.ArgumentParser(
        description="Check pinned requirements for known vulnerabilities."
    )
    parser.add_argument("requirements", nargs="+", help="files with pinned requirements")
    uv = str(Path(sys.executable).with_name("uv"))
    return audit([uv, "tool", "run", PIP_AUDIT], parser.parse_args().requirements)


def audit(pip_audit: list[str], requirements: list[str]) -> int:
    """Run pip-audit on requirement files, print what it found, return the exit status.

    Args:
        pip_audit: the command that runs pip-audit.
        requirements: paths of files with pinned requirements.
    """
    fetched = run([*pip_audit, "--version"])
    if fetched.returncode:
        return not_looked_up(f"pip-audit could not be fetched. {last_line(fetched.stderr)}")
    files = [option for path in requirements for option in ("-r", path)]
    command = [*pip_audit, "--disable-pip", "--no-deps", "--progress-spinner", "off", *files]
    parsed = run([*command, "--dry-run"])
    if parsed.returncode:
        print(f"error: the requirements could not be read.\n{parsed.stderr}", file=sys.stderr)
        return 2
    looked_up = run([*command, "--format", "json"])
    try:
        report = Report.read(looked_up.stdout)
    except ValueError:
        return not_looked_up(last_line(looked_up.stderr))
    return tell(report)


def tell(report: Report) -> int:
    """Print a report and return the exit status."""
    if report.vulnerable:
        print("error: known vulnerabilities\n" + "\n".join(report.vulnerable), file=sys.stderr)
        return 1
    if not report.audited:
        return not_looked_up("The package index in use publishes no vulnerability data.")
    print(f"{report.audited} requirements looked up, no known vulnerability")
    if report.skipped:
        print(f"note: the index knows nothing of {', '.join(report.skipped)}")
    return 0


def not_looked_up(reason: str) -> int:
    """Print why nothing was checked, and return the exit status."""
    print(f"note: known vulnerabilities were not looked up. {reason}")
    return 0


def run(command: list[str]) -> subprocess.CompletedProcess[str]:
    """Run a command and return its status and output."""
    return subprocess.run(command, capture_output=True, text=True, check=False)


def last_line(text: str) -> str:
    """The last line of an error text."""
    return text.strip().rpartition("\n")[2].strip()


if __name__ == "__main__":
    sys.exit(main())

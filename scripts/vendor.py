"""Copies the pages' JavaScript libraries out of their npm packages: `python scripts/vendor.py`.

The `packages.json` of each folder lists packages, versions and files; this fills in the hashes. The
files are used unmodified, without a build. Needs `npm` and its configured registry.
"""

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

ROOT = Path(__file__).parents[1]
VENDORS = (ROOT / "app" / "web" / "static" / "vendor", ROOT / "tests" / "web" / "vendor")
"""Libraries of the pages, and of their tests."""


def main() -> None:
    """Fetch every package and rewrite its folder and its hashes."""
    for vendor in VENDORS:
        listed = vendor / "packages.json"
        packages = json.loads(listed.read_text())
        for package in packages:
            copy(package, vendor)
        listed.write_text(json.dumps(packages, indent=2) + "\n")


def copy(package: dict[str, Any], vendor: Path) -> None:
    """Write the listed files of one package, including its licence, into `vendor`.

    Raises:
        subprocess.CalledProcessError: npm could not fetch the package.
    """
    name, version = package["name"], package["version"]
    with TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", "--pack-destination", folder, f"{name}@{version}"],
            check=True,
        )
        with tarfile.open(next(Path(folder).iterdir())) as archive:
            for path in package["files"]:
                package["files"][path] = write(archive, f"package/{path}", vendor / name / path)


def write(archive: tarfile.TarFile, path: str, target: Path) -> str:
    """Write one file of an archive, and return its hash."""
    member = archive.extractfile(path)
    assert member is not None, f"there is no file {path}"
    content = member.read()
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


if __name__ == "__main__":
    main()

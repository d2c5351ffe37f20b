"""Copies the pages' JavaScript libraries out of their npm packages: `python scripts/vendor.py`.

What is copied, of which version, is written in the `packages.json` of each folder; this fills in
the hashes. The files are used as they are: there is no build. Needs the npm registry.
"""

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any
from urllib.request import urlopen

ROOT = Path(__file__).parents[1]
VENDORS = (ROOT / "app" / "web" / "static" / "vendor", ROOT / "tests" / "web" / "vendor")
"""What the pages ship with, and what only their tests need."""
REGISTRY = "https://registry.npmjs.org"


def main() -> None:
    """Fetch every package and rewrite its folder and its hashes."""
    for vendor in VENDORS:
        listed = vendor / "packages.json"
        packages = json.loads(listed.read_text())
        for package in packages:
            copy(package, vendor)
        listed.write_text(json.dumps(packages, indent=2) + "\n")


def copy(package: dict[str, Any], vendor: Path) -> None:
    """Write the wanted files of one package into `vendor`, its licence among them."""
    name, version = package["name"], package["version"]
    with urlopen(f"{REGISTRY}/{name}/-/{name}-{version}.tgz", timeout=60) as response:
        content = io.BytesIO(response.read())
    with tarfile.open(fileobj=content) as archive:
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

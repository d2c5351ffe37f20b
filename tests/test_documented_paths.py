"""The guides for contributors name only files and folders that exist."""

import re
import subprocess
from pathlib import Path, PurePosixPath

import pytest

ROOT = Path(__file__).parents[1]
GUIDES = ("CONTRIBUTING.md", "docs/structure.md")
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
PATH = re.compile(r"(?:\.?[\w@-]+/)+(?:[\w.-]+)?|[\w-]+\.(?:py|md|toml|txt|jsonl|sh|yaml|yml)")


def existing() -> set[str]:
    """Every file that git knows or would add, and every folder of one, relative to the root."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    files = {name for name in listed.stdout.splitlines() if (ROOT / name).exists()}
    return files | {str(folder) for name in files for folder in PurePosixPath(name).parents}


def named(guide: str) -> set[str]:
    """The paths in a guide: links by their target, code spans where they look like a path."""
    text = (ROOT / guide).read_text(encoding="utf-8")
    words = (word for span in CODE.findall(text) for word in span.split())
    spans = {word for word in words if PATH.fullmatch(word) and not word.startswith(".venv/")}
    folder = (ROOT / guide).parent
    links = {str((folder / link).resolve().relative_to(ROOT)) for link in LINK.findall(text)}
    return spans | links


@pytest.mark.parametrize("guide", GUIDES)
def test_every_path_exists(guide: str) -> None:
    known = existing()
    names = {PurePosixPath(path).name for path in known}
    paths = {path.rstrip("/") for path in named(guide)}
    assert paths
    # A name without a folder is one of the files of the folder named before it.
    missing = {path for path in paths if path not in (known if "/" in path else names)}
    assert not missing

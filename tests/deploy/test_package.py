"""Licences, metadata and the repository's own tools."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import metadata
from pathlib import Path

import pytest
import yaml

from app import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
HOSTS = re.compile(
    r"pypi\.org|pythonhosted\.org|pytorch\.org|npmjs\.org|debian\.org|(ghcr|docker|quay|nvcr|gcr)\.io"
)
"""Hosts of package registries and images: which one is used is the configuration of a machine."""


def test_the_installed_package_says_what_it_is() -> None:
    installed = metadata("spar")
    assert installed["License-Expression"] == "Apache-2.0"
    assert installed["Version"] == PROJECT["version"] == __version__
    assert f"\n## {__version__}\n" in (ROOT / "CHANGELOG.md").read_text()
    licences = set(installed.get_all("License-File") or ())
    assert {"LICENSE", "NOTICE"} <= licences
    assert {path for path in licences if "vendor" in path} == {
        str(path.relative_to(ROOT)) for path in ROOT.glob("app/web/static/vendor/*/LICENSE")
    }


@pytest.mark.parametrize("folder", ["app/web/static/vendor", "tests/web/vendor"])
def test_vendored_packages_keep_their_licence_and_are_in_the_notice(folder: str) -> None:
    notice = (ROOT / "NOTICE").read_text()
    assert folder in notice
    for package in json.loads((ROOT / folder / "packages.json").read_text()):
        assert (ROOT / folder / package["name"] / "LICENSE").stat().st_size > 500
        assert re.search(rf"^ +{package['name']} +{package['licence']} ", notice, re.MULTILINE)


def test_the_image_holds_what_the_metadata_names() -> None:
    [copied] = set(
        re.findall(r"^COPY (pyproject.+) \./$", (ROOT / "deploy/Dockerfile").read_text(), re.M)
    )
    named = {PROJECT["readme"], *(name for name in PROJECT["license-files"] if "/" not in name)}
    assert set(copied.split()) == named | {"pyproject.toml"}


def test_no_file_names_a_package_registry() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    files = [ROOT / name for name in listed.split("\0") if name]
    assert len(files) > 100
    naming = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in files
        if path.is_file() and (found := HOSTS.search(path.read_text(errors="replace")))
    ]
    assert naming == []


def test_the_hooks_before_a_commit_are_the_projects_own_tools() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repository["repo"] == "local", "others would be fetched"
    for hook in repository["hooks"]:
        program = shlex.split(hook["entry"])[0]
        assert program.startswith(".venv/bin/")
        assert Path(sys.executable).with_name(Path(program).name).exists(), program

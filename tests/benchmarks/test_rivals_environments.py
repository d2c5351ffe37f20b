"""The peers' environments are built once, and never half."""

from pathlib import Path

import pytest

from app.errors import ConfigurationError
from benchmarks.rivals.children import python_of


@pytest.fixture
def requirements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for requirement files; environments go to a cache of the test's own."""
    monkeypatch.setenv("SPAR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    return tmp_path


@pytest.mark.slow
async def test_only_complete_environments_are_reused(requirements: Path) -> None:
    wanted = requirements / "peer.txt"
    wanted.write_text("no-such-package-of-ours==1\n")
    with pytest.raises(ConfigurationError, match="no-such-package-of-ours"):
        await python_of("peer", requirements=requirements)
    (folder,) = (
        path for path in (requirements / "cache" / "benchmarks").iterdir() if path.is_dir()
    )
    assert not (folder / "complete").exists()

    (folder / "complete").touch()
    assert await python_of("peer", requirements=requirements) == folder / "bin" / "python"

"""Fixtures: the replaying server, and the command lines under test."""

import pytest
from typer.testing import CliRunner, Result

from experiments.__main__ import cli
from tests.cli.conftest import _running, server, spar
from tests.cli.replay import Run

__all__ = ["_running", "experiments", "server", "spar"]


@pytest.fixture
def experiments(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the command line in this process."""
    for name in ("SPAR_URL", "SPAR_PORT", "SPAR_DATA", "COLUMNS", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    runner = CliRunner()

    def run(*arguments: str) -> Result:
        return runner.invoke(cli, arguments, catch_exceptions=False)

    return run

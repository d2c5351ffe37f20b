import subprocess
import sys

import pytest

from tests.cli.replay import Run

COMMANDS = [
    "serve",
    "generate",
    "judge",
    "searches",
    "show",
    "feedback",
    "iterate",
    "iterations",
    "iterations list",
    "iterations show",
    "iterations follow",
    "iterations cancel",
    "iterations resume",
    "bootstrap",
    "export",
    "prompts",
    "prompts import",
    "prompts count",
    "checkpoints",
    "checkpoints list",
    "checkpoints promote",
    "checkpoints rollback",
    "checkpoints export",
    "checkpoints import",
    "serving",
    "eval",
    "eval ifeval",
    "eval llmbar",
    "eval list",
    "eval show",
    "eval compare",
    "eval resume",
    "db upgrade",
    "model prepare",
    "version",
]
HEAVY = {"torch", "vllm", "transformers", "sqlalchemy", "fastapi", "httpx2", "pydantic", "app.main"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(spar: Run, command: str) -> None:
    result = spar(*command.split(), "--help")
    assert result.exit_code == 0
    assert "Usage: " in result.stdout
    assert command in result.stdout


@pytest.mark.parametrize("arguments", [[], ["--help"]])
def test_help_lists_the_commands(spar: Run, arguments: list[str]) -> None:
    listed = spar(*arguments).output
    assert all(command.split()[0] in listed for command in COMMANDS)


@pytest.mark.parametrize(
    "arguments",
    [["nonsense"], ["show"], ["db", "nonsense"], ["prompts", "nonsense"], ["iterations", "show"]],
)
def test_a_wrong_command_line_is_a_usage_error(spar: Run, arguments: list[str]) -> None:
    assert spar(*arguments).exit_code == 2


def test_help_loads_nothing_heavy() -> None:
    script = "import sys; import app.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(loaded.stdout.split())

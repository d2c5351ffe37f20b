import os
import subprocess
import sys

import pytest

from app import __version__
from tests.cli.replay import Run, Server

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
    "doctor",
    "demo",
    "keys",
    "keys create",
    "keys list",
]
HEAVY = {"torch", "vllm", "transformers", "sqlalchemy", "fastapi", "httpx2", "pydantic", "app.main"}


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(spar: Run, command: str) -> None:
    result = spar(*command.split(), "--help")
    assert result.exit_code == 0
    assert spar(*command.split(), "-h").stdout == result.stdout
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


def test_the_version(spar: Run) -> None:
    assert spar("--version").stdout == f"{__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "new"),
    [
        (["version"], "spar --version"),
        (["reproduce", "all"], "python -m experiments NAME"),
        (["generate", "hi", "--gate", "0.3"], "--accept-threshold"),
        (["judge", "hi", "--gate=0.3"], "--accept-threshold"),
        (["eval", "ifeval", "--first-look"], "--quick-verdict"),
    ],
)
def test_a_removed_name_is_an_error_with_the_new_one(
    spar: Run, arguments: list[str], new: str
) -> None:
    result = spar(*arguments)
    assert result.exit_code == 2
    assert "was removed" in result.stderr
    assert new in result.stderr


def test_text_after_two_dashes_is_not_an_option(spar: Run, server: Server) -> None:
    server.refuse(422, message="no")
    result = spar("judge", "--response", "x", "--url", server.url, "--", "--gate")
    assert (result.exit_code, server.asked[0]["prompt"]) == (1, "--gate")


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("spar che", {"checkpoints"}),
        ("spar prompts ", {"import", "count"}),
        ("spar generate --mo", {"--mode"}),
    ],
)
def test_the_shell_completes_commands_and_options(typed: str, offered: set[str]) -> None:
    environment = {
        "_SPAR_COMPLETE": "complete_bash",
        "COMP_WORDS": typed,
        "COMP_CWORD": str(typed.count(" ")),
    }
    completed = subprocess.run(
        [sys.executable, "-c", "from app.cli import cli; cli(prog_name='spar')"],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(completed.stdout.split()) == offered, completed.stderr


def test_help_loads_nothing_heavy() -> None:
    script = "import sys; import app.cli; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert not HEAVY & set(loaded.stdout.split())

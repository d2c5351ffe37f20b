"""No argument lets a file run code; ruff bans the modules that do (`pyproject.toml`)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("app", "benchmarks", "experiments", "migrations", "scripts", "training", "worker")
SAFE = {"trust_remote_code": False, "allow_pickle": False, "weights_only": True}


def unsafe(source: str) -> list[str]:
    """The arguments in a source that may let a file run code."""
    keywords = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.keyword)]
    return [
        f"{one.arg}={ast.unparse(one.value)}"
        for one in keywords
        if one.arg in SAFE
        and not (isinstance(one.value, ast.Constant) and one.value.value is SAFE[one.arg])
    ]


def test_no_argument_lets_a_file_run_code() -> None:
    files = [file for package in PACKAGES for file in (ROOT / package).rglob("*.py")]
    found = {file: unsafe(file.read_text(encoding="utf-8")) for file in files}
    assert {file: arguments for file, arguments in found.items() if arguments} == {}
    assert len(files) > 100


@pytest.mark.parametrize(
    "source",
    [
        "load('x', weights_only=False)",
        "load('x', allow_pickle=True)",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
        "AutoModel.from_pretrained('x', trust_remote_code=wanted)",
    ],
)
def test_an_unsafe_argument_is_found(source: str) -> None:
    assert unsafe(source)

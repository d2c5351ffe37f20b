"""Nothing of ours unpickles: a pickle runs whatever its maker wanted."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted(
    file for package in ("app", "worker", "training") for file in (ROOT / package).rglob("*.py")
)
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {"torch.load", "numpy.load", "np.load", "torch.jit.load", "joblib.load"}
BUILTINS = {"eval", "exec"}


def dotted(node: ast.expr) -> str:
    """`a.b.c` of a name or attribute; empty for anything else."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(source: str) -> list[str]:
    """What in a source can run what a file says."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Import(names):
                found += [one.name for one in names if one.name.split(".")[0] in MODULES]
            case ast.ImportFrom(module=str(module), names=names):
                found += [module] if module.split(".")[0] in MODULES else []
                found += [f"{module}.{n.name}" for n in names if f"{module}.{n.name}" in CALLS]
            case ast.Call(func, _, keywords):
                found += [dotted(func)] if dotted(func) in CALLS | BUILTINS else []
                found += [
                    f"{one.arg}=True"
                    for one in keywords
                    if one.arg in ("trust_remote_code", "allow_pickle")
                    and not (isinstance(one.value, ast.Constant) and one.value.value is False)
                ]
    return found


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_no_file_unpickles_or_runs_foreign_code(file: Path) -> None:
    assert dangers(file.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "import torch\ntorch.load('x')",
        "from torch import load",
        "numpy.load('x', allow_pickle=True)",
        "eval('1')",
        "AutoModel.from_pretrained('x', trust_remote_code=True)",
        "AutoModel.from_pretrained('x', trust_remote_code=wanted)",
    ],
)
def test_what_would_is_found(source: str) -> None:
    assert dangers(source)

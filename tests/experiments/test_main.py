"""The command line end to end: the real API on a scripted engine, result files in a folder."""

import gzip
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copy
from typing import Any, cast

import pytest

from app.cli.eval import runs
from app.constraints.checker import Checker
from app.engine.base import Call
from app.errors import EngineUnavailable
from app.evaluation.http import Patience
from app.evaluation.own_server import free_port
from experiments import context
from tests.cli.conftest import evaluated
from tests.cli.replay import Run
from tests.helpers.evaluating import ifeval_file
from tests.helpers.scripts import FINE, SHORT, Part, judged_text, part_of

PROMPTS = ["Name a color.", "Name, please, a city.", "Name a river."]


class Model:
    """Answers with a comma, which the judge and the checkers dislike; rewrites without one."""

    def __init__(self) -> None:
        self.asked: list[Part] = []
        self.gone = False
        self.interrupts = False

    async def __call__(self, call: Call) -> str:
        if self.gone:
            raise EngineUnavailable("the engine is restarting")
        if self.interrupts:
            self.interrupts = False
            signal.pthread_kill(cast(int, threading.main_thread().ident), signal.SIGINT)
        part = part_of(call)
        self.asked.append(part)
        match part:
            case Part.RESPONSE:
                return "This, that."
            case Part.REWRITE:
                return "This and that."
            case Part.CRITIQUE:
                return SHORT if "," in (judged_text(call) or "") else FINE


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def url(model: Model, migrated_file: Path, tmp_path: Path) -> Iterator[str]:
    """A server with that model."""
    with evaluated(model, Path(copy(migrated_file, tmp_path / "server.db"))) as url:
        yield url


Experiment = Callable[..., Any]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, checker: Checker) -> None:
    """Short retries of an unavailable server, a started checker, a wide terminal."""
    monkeypatch.setattr(runs, "PATIENCE", Patience(0.2, 0.05))
    monkeypatch.setattr(context, "Checker", lambda *_: checker)
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def run(experiments: Run, url: str, tmp_path: Path) -> Experiment:
    """Runs a command that must succeed; returns the values of its report."""

    def experiment(name: str, *arguments: str) -> Any:
        to = tmp_path / "results"
        data = str(tmp_path / "data")
        result = experiments(name, *arguments, "--to", str(to), "--url", url, "--data-dir", data)
        assert result.exit_code == 0, result.stderr
        for kind in (".md", ".json.gz"):
            assert f"wrote {to / name}{kind}" in result.stdout.replace("\n", "")
        return json.loads(gzip.decompress((to / f"{name}.json.gz").read_bytes()))

    return experiment


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Three rows of IFEval, none of which wants a comma."""
    return str(ifeval_file(tmp_path, PROMPTS))


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    """Two labelled pairs; the response without a comma is better."""
    file = tmp_path / "natural.jsonl"
    row = {"instruction": "Name a city.", "output_1": "Lisbon.", "output_2": "One, of many."}
    rows = [{**row, "label": 1}, {**row, "instruction": "Name a town.", "label": 1}]
    file.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return str(file)


def by(report: Any, column: str, table: int = 0) -> dict[str, Any]:
    """The rows of a table by the value of a column."""
    return {str(row[column]): row for row in report["tables"][table]["rows"]}


@pytest.mark.slow
def test_rejected_responses_are_repaired_by_every_mode(run: Experiment, file: str) -> None:
    report = run("refinement", "--data", file, "--generations", "4", "--votes", "1")
    rows = by(report, "mode")
    assert set(rows) == {"greedy", "best_of_n", "iterative", "bfs", "dfs"}
    for row in rows.values():
        assert row["items"] == 3
        assert row["right by the own refiner"]["value"] == 1.0
        assert row["right by the checkers"]["value"] == 1.0
    assert rows["greedy"]["generations"] == 1.0
    assert any("3 had a response" in note for note in report["notes"])


@pytest.mark.slow
def test_stored_items_are_not_requested_again(run: Experiment, model: Model, file: str) -> None:
    first = run("refinement", "--data", file, "--limit", "2", "--votes", "1")
    model.asked.clear()
    assert (
        run("refinement", "--data", file, "--limit", "2", "--votes", "1")["tables"]
        == (first["tables"])
    )
    assert model.asked == []
    more = run("refinement", "--data", file, "--votes", "1")
    assert by(more, "mode")["bfs"]["items"] == 3
    assert model.asked.count(Part.RESPONSE) == 5


def test_accuracy_is_read_off_the_trees(run: Experiment, file: str, tmp_path: Path) -> None:
    report = run("scaling", "--data", file, "--generations", "5", "--votes", "1")
    own = by(report, "generations", table=1)
    assert own["3"]["bfs"]["value"] == 0.0
    assert own["4"]["bfs"]["value"] == 1.0
    assert own["5"]["best_of_n"]["value"] == 0.0
    assert {plot["name"] for plot in report["plots"]} == {"scaling-own", "scaling-checkers"}
    for name in ("scaling-own", "scaling-checkers"):
        assert (tmp_path / "results" / f"{name}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_versions_are_measured_with_their_floors(run: Experiment, file: str, model: Model) -> None:
    report = run("iterations", "--data", file)
    rows = by(report, "actor")
    assert rows["0"]["prompts_strict"]["value"] == 0.0
    assert rows["floor: empty"]["prompts_strict"]["value"] == 0.0
    assert rows["0"]["p against 0 (prompts_strict)"] is None
    asked = len(model.asked)
    assert run("iterations", "--data", file)["tables"] == report["tables"]
    assert len(model.asked) == asked


@pytest.mark.slow
def test_judges_are_measured_and_votes_compared(run: Experiment, pairs: str, model: Model) -> None:
    report = run("judging", "--data", pairs, "--votes", "1")
    assert by(report, "refiner")["0"]["accuracy"]["value"] == 1.0
    rows = report["tables"][1]["rows"]
    shares = {row["votes"]: row for row in rows if row["judge"] == "votes: share of yes"}
    assert set(shares) == {1, 3, 5, 7}
    assert all(row["accuracy"]["value"] == 1.0 for row in shares.values())
    quick = rows[-1]
    assert (quick["judge"], quick["pairs"]) == ("quick verdict: P(yes)", 2)
    assert quick["ties"]["value"] == 1.0


def test_an_unknown_version_is_an_error(
    experiments: Run, file: str, url: str, tmp_path: Path
) -> None:
    data = str(tmp_path / "data")
    result = experiments(
        "iterations", "--data", file, "--version", "7", "--url", url,
        "--data-dir", data, "--to", str(tmp_path),
    )  # fmt: skip
    assert result.exit_code == 1
    assert "actor@7" in result.stderr


@pytest.mark.parametrize(
    ("name", "option"),
    [
        ("iterations", "--data"),
        ("judging", "--data"),
        ("refinement", "--data"),
        ("scaling", "--data"),
        ("ablations", "--data"),
        ("iterations", "--followbench"),
        ("ablations", "--llmbar"),
    ],
)
def test_a_missing_file_is_an_error_before_the_first_request(
    experiments: Run, file: str, tmp_path: Path, name: str, option: str
) -> None:
    files = {"--data": file} | {option: "/nowhere/x.jsonl"}
    result = experiments(
        name, *(part for pair in files.items() for part in pair),
        "--url", f"http://127.0.0.1:{free_port()}", "--data-dir", str(tmp_path / "data"),
    )  # fmt: skip
    assert result.exit_code == 1
    assert result.stderr == "error: cannot read /nowhere/x.jsonl: No such file or directory\n"


def test_unreachable_server_is_an_error(experiments: Run, file: str, tmp_path: Path) -> None:
    closed = f"http://127.0.0.1:{free_port()}"
    data = str(tmp_path / "data")
    result = experiments("scaling", "--data", file, "--url", closed, "--data-dir", data)
    assert result.exit_code == 1
    assert f"no server answers at {closed}" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ablations", "--data", "x", "--variant", "half"), "use one of whole, no tree search"),
        (("interference", "--task", "poems"), "use one of characters, stories"),
    ],
)
def test_an_unknown_name_is_a_usage_error(
    experiments: Run, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    result = experiments(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


@pytest.mark.slow
def test_run_resumes_after_the_server_was_unavailable(
    run: Experiment, experiments: Run, model: Model, file: str, url: str, tmp_path: Path
) -> None:
    model.gone = True
    result = experiments(
        "scaling", "--data", file, "--url", url, "--votes", "1",
        "--data-dir", str(tmp_path / "data"), "--to", str(tmp_path),
    )  # fmt: skip
    assert result.exit_code == 1
    assert "the same command resumes the run" in result.stderr.replace("\n", " ")
    model.gone = False
    assert by(run("scaling", "--data", file, "--votes", "1"), "mode")["bfs"]["items"] == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", ["scaling", "iterations"])
def test_the_same_command_resumes_an_interrupted_one(
    run: Experiment, experiments: Run, model: Model, file: str, url: str, tmp_path: Path, name: str
) -> None:
    model.interrupts = True
    result = experiments(
        name, "--data", file, "--url", url, "--at-once", "1",
        "--data-dir", str(tmp_path / "data"), "--to", str(tmp_path),
    )  # fmt: skip
    assert result.exit_code == 130
    assert "Interrupted; the same command resumes the run." in result.stderr
    assert "--resume" not in result.stderr
    assert run(name, "--data", file)["tables"]


COMMANDS = ["iterations", "judging", "refinement", "scaling", "ablations", "interference"]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(experiments: Run, command: str) -> None:
    assert command in experiments("--help").stdout
    result = experiments(command, "--help")
    assert result.exit_code == 0
    assert "--to" in result.stdout


def test_the_package_is_a_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "experiments", "poems"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "python -m experiments" in done.stderr


def test_the_removed_command_names_its_replacement(spar: Run) -> None:
    result = spar("reproduce", "scaling", "--data", "x")
    assert result.exit_code == 2
    assert "python -m experiments NAME" in result.stderr

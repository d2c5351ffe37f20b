"""`spar eval` from end to end: the real routes over a scripted engine, and a real database."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from shutil import copy
from typing import Any

import pytest

from app.cli.eval import runs
from app.config.settings import Settings
from app.constraints.checker import Checker
from app.engine.base import Call
from app.errors import EngineUnavailable
from app.evaluation.http import Patience
from app.evaluation.own_server import free_port
from tests.cli.conftest import evaluated
from tests.cli.replay import Run
from tests.helpers.evaluating import ifeval_file
from tests.helpers.scripts import FINE, SHORT, judged_text

PROMPTS = ["Name a color.", "Name, please, a city.", "Name a river."]
Eval = Callable[..., Any]


@dataclass
class Model:
    """Replies of the scripted model by prompt; the default is the prompt itself."""

    replies: dict[str, str] = field(default_factory=dict)
    gone_at: str = ""
    asked: list[str] = field(default_factory=list)

    async def __call__(self, call: Call) -> str:
        judged = judged_text(call)
        if judged is not None:
            return SHORT if "," in judged else FINE
        prompt = call.messages[-1].content
        if prompt == self.gone_at:
            raise EngineUnavailable("the engine is restarting")
        self.asked.append(prompt)
        return self.replies.get(prompt, prompt)


@pytest.fixture
def model() -> Model:
    """A model that repeats the prompt."""
    return Model()


@pytest.fixture
def url(model: Model, migrated_file: Path, tmp_path: Path) -> Iterator[str]:
    """A server with that model."""
    with evaluated(model, Path(copy(migrated_file, tmp_path / "server.db"))) as url:
        yield url


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, checker: Checker) -> None:
    """A short retry limit, and a checker that has started."""
    monkeypatch.setattr(runs, "PATIENCE", Patience(0.2, 0.05))
    monkeypatch.setattr(runs, "Checker", lambda *_: checker)


@pytest.fixture
def run(spar: Run, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Eval:
    """`spar eval` with the server and the data folder of the test, on a wide terminal."""
    monkeypatch.setenv("COLUMNS", "200")

    def evaluate(*arguments: str) -> Any:
        server = ("--url", url) if arguments[0] not in ("show", "list", "compare") else ()
        return spar("eval", *arguments, *server, "--data-dir", str(tmp_path / "data"))

    return evaluate


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Three rows of IFEval, none of which wants a comma."""
    return str(ifeval_file(tmp_path, PROMPTS))


def values(result: Any) -> Any:
    """The JSON that a command printed."""
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def metric(report: Any, name: str) -> float:
    """A metric of a report."""
    found: float = next(one["value"] for one in report["metrics"] if one["name"] == name)
    return found


def test_a_run_asks_every_row_and_reports(run: Eval, model: Model, file: str) -> None:
    report = values(run("ifeval", "--data", file, "--json", "--name", "first"))
    assert sorted(model.asked) == sorted(PROMPTS)
    assert (report["done"], report["failed"], report["total"]) == (3, 0, 3)
    assert metric(report, "prompts_strict") == pytest.approx(2 / 3)
    assert metric(report, "copies") == 1.0
    assert set(report["floors"]) == {"empty", "constant", "echo"}
    assert report["options"]["sampling"] == {"max_tokens": 512}
    assert not report["with_constraints"]
    assert report["completion_tokens"] > 0
    assert report["finished_at"] is not None


def test_the_same_is_shown_as_a_table_and_as_markdown(run: Eval, file: str, tmp_path: Path) -> None:
    written = tmp_path / "report.md"
    result = run("ifeval", "--data", file, "--name", "first", "--markdown", str(written))
    assert re.search(r"prompts_strict +66\.7%", result.stdout)
    assert "| prompts_strict | 66.7% |" in written.read_text()
    assert re.search(r"prompts_strict +66\.7%", run("show", "first").stdout)
    rows = values(run("show", "first", "--json", "--rows"))["rows"]
    assert [row["outcome"]["response"] for row in rows] == PROMPTS
    assert "Name, please, a city." in run("show", "first", "--rows").stdout


def test_runs_are_listed(run: Eval, file: str) -> None:
    run("ifeval", "--data", file, "--name", "night")
    assert re.search(r"night +ifeval +greedy +0, 0 +3/3 +0 +prompts_strict", run("list").stdout)
    (listed,) = values(run("list", "--json"))
    assert (listed["suite"], listed["done"]) == ("ifeval", 3)


def test_a_list_omits_columns_that_do_not_fit(
    run: Eval, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("ifeval", "--data", file, "--name", "night")
    monkeypatch.setenv("COLUMNS", "80")
    heading, line = run("list").stdout.splitlines()
    assert heading.split() == ["id", "name", "suite", "rows", "failed", "first", "metric"]
    assert re.fullmatch(r"\w{26}  night  ifeval  3/3   0       prompts_strict [\d.]+% *", line)
    run("ifeval", "--data", file, "--name", "a name of many words, all of them short")
    heading, line, *_ = run("list").stdout.splitlines()
    assert heading.split() == ["id", "name", "rows", "first", "metric"]
    assert re.match(r"\w{26}  a name of many words, all…  3/3 ", line)


def test_two_runs_are_compared(run: Eval, model: Model, file: str) -> None:
    run("ifeval", "--data", file, "--name", "before")
    model.replies = {PROMPTS[1]: "Lisbon"}
    run("ifeval", "--data", file, "--name", "after", "--seed", "2")
    result = run("compare", "before", "after", "--metric", "prompts_strict")
    assert re.search(r"prompts_strict +66\.7% +100\.0% +\+33\.3%", result.stdout)
    assert "warning: seed differs: 0 and 2" in result.stderr
    found = values(run("compare", "before", "after", "--json"))
    assert found["rows"] == 3
    assert found["metrics"][0]["comparison"]["name"] == "prompts_strict"


def test_a_run_whose_server_goes_away_can_be_resumed(run: Eval, model: Model, file: str) -> None:
    model.gone_at = PROMPTS[1]
    stopped = run("ifeval", "--data", file, "--at-once", "1")
    assert stopped.exit_code == 1
    (command,) = re.findall(r"`spar eval (resume \w+)` resumes", stopped.stderr)
    assert "the engine is restarting" in stopped.stderr
    assert "Not finished" in run("show", command.split()[1]).stdout
    model.gone_at = ""
    report = values(run(*command.split(), "--json"))
    assert (report["done"], report["total"]) == (3, 3)
    assert sorted(model.asked) == sorted(PROMPTS)
    again = run(*command.split())
    assert "has finished" in again.stdout
    assert len(model.asked) == 3


def test_the_same_command_resumes_with_the_resume_option(
    run: Eval, model: Model, file: str
) -> None:
    model.gone_at = PROMPTS[2]
    run("ifeval", "--data", file, "--at-once", "1")
    model.gone_at = ""
    report = values(run("ifeval", "--data", file, "--at-once", "1", "--resume", "--json"))
    assert report["done"] == 3
    assert sorted(model.asked) == sorted(PROMPTS)
    assert len(values(run("list", "--json"))) == 1


def test_a_new_run_says_that_an_earlier_one_is_unfinished(
    run: Eval, model: Model, file: str
) -> None:
    model.gone_at = PROMPTS[2]
    run("ifeval", "--data", file)
    model.gone_at = ""
    assert "An earlier run of the same is unfinished" in run("ifeval", "--data", file).stderr
    assert len(values(run("list", "--json"))) == 2


def test_a_run_is_not_resumed_with_another_file(
    run: Eval, model: Model, file: str, tmp_path: Path
) -> None:
    model.gone_at = PROMPTS[2]
    run("ifeval", "--data", file, "--name", "half")
    model.gone_at = ""
    ifeval_file(tmp_path, ["Name a planet."])
    result = run("resume", "half")
    assert result.exit_code == 1
    assert "is not the file that" in result.stderr


def test_a_row_that_does_not_fit_fails_and_counts_as_wrong(run: Eval, tmp_path: Path) -> None:
    file = ifeval_file(tmp_path, ["Name a color.", "word " * 5000])
    report = values(run("ifeval", "--data", str(file), "--json", "--name", "long"))
    assert (report["done"], report["failed"]) == (2, 1)
    assert metric(report, "prompts_strict") == 0.5
    assert "context" in report["errors"][0]["message"]
    assert values(run("resume", "long", "--retry-failed", "--json"))["failed"] == 1


def test_answers_can_be_searched_for(run: Eval, file: str) -> None:
    options = ("--mode", "best_of_n", "--n", "2", "--votes", "1", "--limit", "2")
    report = values(run("ifeval", "--data", file, *options, "--json"))
    assert (report["mode"], report["total"]) == ("best_of_n", 2)
    assert report["options"]["search"]["n"] == 2
    (run_,) = values(run("list", "--json"))
    rows = values(run("show", run_["id"], "--json", "--rows"))["rows"]
    assert [row["outcome"]["accepted"] for row in rows] == [True, False]
    assert all(row["outcome"]["search_id"] for row in rows)


def test_the_refiner_compares_pairs(run: Eval, tmp_path: Path) -> None:
    file = tmp_path / "natural.jsonl"
    row = {"instruction": "Name a city.", "output_1": "Lisbon.", "output_2": "One, of many."}
    file.write_text(json.dumps({**row, "label": 1}) + "\n")
    report = values(run("llmbar", "--data", str(file), "--votes", "1", "--json"))
    assert metric(report, "accuracy") == 1.0
    # The model repeats the question, which ends with the same choice in either order.
    assert (metric(report, "pairwise"), metric(report, "agreement")) == (0.5, 0.0)
    assert report["mode"] is None
    assert report["options"]["search"] == {"votes": 1, "accept_threshold": 0.5}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give either --data or --hub"),
        (("--data", "x", "--hub", "y"), "give either --data or --hub"),
        (("--data", "x", "--checkpoint", "actor"), "is not like actor@12"),
        (("--data", "x", "--checkpoint", "actor@1", "--checkpoint", "actor@2"), "one actor"),
    ],
)
def test_invalid_options_are_usage_errors(
    run: Eval, arguments: tuple[str, ...], message: str
) -> None:
    result = run("ifeval", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(re.sub("[│╭╰╮╯─]", " ", result.stderr).split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ifeval", "--data", "/nowhere/x.jsonl"), "cannot read /nowhere/x.jsonl"),
        (("ifeval", "--data", "/"), "cannot read /"),
        (("show", "nothing"), "there is no evaluation `nothing`"),
        (("resume", "nothing"), "there is no evaluation `nothing`"),
    ],
)
def test_an_unknown_run_is_an_error(run: Eval, arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 1
    assert message in result.stderr


@pytest.mark.parametrize(
    "line", ["{", '{"key": 1}', "[" * 100_000], ids=["not JSON", "not whole", "deep"]
)
@pytest.mark.parametrize("suite", ["ifeval", "ifbench", "followbench", "llmbar"])
def test_a_line_that_is_no_row_is_named(run: Eval, tmp_path: Path, suite: str, line: str) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(line + "\n")
    result = run(suite, "--data", str(file))
    assert result.exit_code == 1
    assert re.match(rf"error: {file}(, line 1)?: .+\n$", result.stderr)


def test_a_version_that_is_not_there_stops_the_run(run: Eval, file: str) -> None:
    result = run("ifeval", "--data", file, "--checkpoint", "actor@7")
    assert result.exit_code == 1
    assert "actor@7" in result.stderr


def test_a_named_server_must_be_there(spar: Run, file: str, tmp_path: Path) -> None:
    closed = f"http://127.0.0.1:{free_port()}"
    data = str(tmp_path / "data")
    result = spar("eval", "ifeval", "--data", file, "--url", closed, "--data-dir", data)
    assert result.exit_code == 1
    assert f"no server answers at {closed}" in result.stderr


CHILD = """
import sys, uvicorn
from app.db.upgrade import upgrade
from tests.helpers.evaluating import evaluated_server
from tests.helpers.scripts import playing
url = f"sqlite+aiosqlite:///{sys.argv[2]}/child.db"
upgrade(url)
open(sys.argv[2] + "/served", "w").close()
uvicorn.run(evaluated_server(playing(), url), port=int(sys.argv[1]), log_level="critical")
"""


def test_without_a_server_one_is_started_for_the_run(
    spar: Run, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(_: Settings, port: int) -> tuple[list[str], dict[str, str]]:
        return [sys.executable, "-c", CHILD, str(port), str(tmp_path)], {}

    monkeypatch.setenv("SPAR_PORT", str(free_port()))
    # The engine is scripted; the process and the way to it are real.
    monkeypatch.setattr(runs, "own_command", command)
    data = str(tmp_path / "data")
    result = spar("eval", "ifeval", "--data", file, "--data-dir", data, "--json")
    assert values(result)["done"] == 3
    assert "starting one on port" in result.stderr
    assert (tmp_path / "served").exists()


def test_a_started_server_has_the_settings_and_no_worker(tmp_path: Path) -> None:
    settings = Settings(data=tmp_path, _env_file=None)
    command, environment = runs.own_command(settings, 4711)
    listening = ["--host", "127.0.0.1", "--port", "4711"]
    assert command[3:] == ["serve", *listening]
    usage = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
    assert "Usage: " in usage.stdout
    assert environment["SPAR_DATA"] == str(tmp_path)
    assert environment["SPAR_DATABASE_URL"] == settings.url
    assert environment["SPAR_WORKER"] == "false"

"""Versions of a role on a benchmark: the identity of a run, the table and the plot."""

import json
from datetime import UTC, datetime
from pathlib import Path

from app.domain.search import SearchOptions
from app.evaluation.base import Metric
from app.evaluation.report import Findings, RunReport
from experiments.versions import (
    Benchmark,
    Measured,
    answering,
    judging,
    judging_report,
    version_plot,
    version_table,
)
from tests.helpers.evaluating import ifeval_file, plan_of, row_of

SHARES = {0: 0.25, 2: 0.75}
FLOOR = Metric("average_of_four", 0.125, 0.0, 0.25, 8)


def metric(share: float) -> Metric:
    return Metric("average_of_four", share, share - 0.125, share + 0.125, 8)


def ran(share: float) -> RunReport:
    """A finished run with this metric, and the metric of an empty answer beside it."""
    began = datetime(2026, 1, 1, tzinfo=UTC)
    findings = Findings([metric(share)], {"empty": [FLOOR]})
    rows = [row_of("0")]
    return RunReport("id", None, plan_of(), rows, 1, 0.0, findings, began, began, "1", "spar")


MEASURED = Measured({version: ran(share) for version, share in SHARES.items()}, {2: 0.5})


def ifeval(folder: Path) -> Benchmark:
    return answering("ifeval", ifeval_file(folder, ["Name a color."]), None, 64)


def pairs(file: Path) -> Benchmark:
    row = {"instruction": "Name a city.", "output_1": "a", "output_2": "b", "label": 1}
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(row))
    return judging(file, None, 3)


def test_every_version_has_a_row_and_so_has_every_floor(tmp_path: Path) -> None:
    table = version_table(ifeval(tmp_path), MEASURED)
    p = "p against 0 (prompts_strict)"
    shown = [(row["actor"], row["average_of_four"], row[p], row["rows"]) for row in table.rows]
    assert shown == [
        ("0", metric(0.25), None, 1),
        ("2", metric(0.75), 0.5, 1),
        ("floor: empty", FLOOR, None, None),
    ]


def test_floors_are_level_lines_below_the_versions(tmp_path: Path) -> None:
    versions, floor = version_plot("name", ifeval(tmp_path), MEASURED).lines
    assert [(one.x, one.y) for one in versions.points] == list(SHARES.items())
    assert [(one.x, one.y) for one in floor.points] == [(0, 0.125), (2, 0.125)]


def test_request_parameters_define_the_run_identity(tmp_path: Path) -> None:
    first = ifeval(tmp_path).identity
    assert first == ifeval(tmp_path).identity
    assert first["options"]["search"] == {
        "votes": SearchOptions().votes,
        "accept_threshold": SearchOptions().accept_threshold,
    }
    longer = answering("ifeval", tmp_path / "ifeval.jsonl", None, 65)
    other = answering("ifeval", ifeval_file(tmp_path, ["Name a river."]), None, 64)
    assert first not in (longer.identity, other.identity)


def test_equal_file_names_have_separate_tables(tmp_path: Path) -> None:
    files = [tmp_path / subset / "dataset.json" for subset in ("Natural", "Neighbor")]
    report = judging_report([(pairs(file), MEASURED) for file in files], [], [])
    titles = [table.title for table in report.tables]
    assert titles[:2] == [
        "Natural-dataset: llmbar: refiner by version",
        "Neighbor-dataset: llmbar: refiner by version",
    ]

"""Reports: the plan, the cost and the metrics of a run."""

import json
from datetime import UTC, datetime
from typing import Any

from app.domain.search import Mode
from app.evaluation.base import Metric
from app.evaluation.report import Findings, RunReport, facts, markdown, metric_table
from tests.helpers.evaluating import plan_of, row_of

FINDINGS = Findings(
    [Metric("prompts", 0.5, 0.25, 0.75, 40), Metric("prompts/length", 1.0, 0.9, 1.0, 9)],
    {"empty": [Metric("prompts", 0.0, 0.0, 0.1, 40)], "echo": []},
)


def report(**fields: Any) -> RunReport:
    values: dict[str, Any] = {
        "id": "01RUN",
        "name": "night | run",
        "plan": plan_of(Mode.BFS),
        "rows": [row_of("1"), row_of("2"), row_of("3", outcome=None, error="too long")],
        "total": 4,
        "seconds": 3723.4,
        "findings": FINDINGS,
        "created_at": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
        "finished_at": None,
        "program": "1.0",
        "command": "spar eval ifeval",
    }
    return RunReport(**(values | fields))


def test_facts_of_a_run() -> None:
    told = dict(facts(report()))
    assert told["rows"] == "3 of 4, 1 failed"
    assert told["failed"] == "1 times: too long"
    assert told["tokens"] == "6 read, 4 generated"
    assert told["time"] == "1:02:03"
    assert told["date"] == "2026-01-02 03:04 UTC"
    assert told["command"] == "spar eval ifeval"
    assert "votes 1" in told["options"]


def test_mode_says_whether_requests_had_constraints() -> None:
    assert dict(facts(report()))["mode"] == "bfs, without the rows' constraints"
    seen = dict(facts(report(plan=plan_of(Mode.BFS, with_constraints=True))))
    assert "sees the checks that score it" in seen["mode"]
    judging = dict(facts(report(plan=plan_of(None))))
    assert judging["mode"] == "judging given responses"


def test_figures_have_their_interval_and_floors_beside_them() -> None:
    headings, rows = metric_table(FINDINGS)
    assert headings == ["metric", "value", "95 %", "n", "floor: empty", "floor: echo"]
    assert rows == [
        ["prompts", "50.0%", "25.0% to 75.0%", "40", "0.0%", ""],
        ["prompts/length", "100.0%", "90.0% to 100.0%", "9", "", ""],
    ]


def test_findings_round_trip_as_values() -> None:
    assert Findings.from_values(json.loads(json.dumps(FINDINGS.to_values()))) == FINDINGS


def test_the_markdown_has_both_tables() -> None:
    lines = markdown(report()).splitlines()
    assert lines[0] == "# ifeval: night | run"
    assert "| run | 01RUN (night \\| run) |" in lines
    assert "| prompts | 50.0% | 25.0% to 75.0% | 40 | 0.0% |  |" in lines


def test_an_unfinished_run_has_no_figures() -> None:
    unfinished = report(findings=None)
    assert "has not finished" in markdown(unfinished)
    assert unfinished.to_values()["metrics"] == []


def test_the_json_can_hold_every_row() -> None:
    values = json.loads(json.dumps(report().to_values(with_rows=True)))
    assert [row["key"] for row in values["rows"]] == ["1", "2", "3"]
    assert values["errors"] == [{"message": "too long", "rows": 1}]
    assert (values["done"], values["failed"], values["total"]) == (3, 1, 4)
    assert "rows" not in report().to_values()

"""Reports of runs, as values, as JSON and as Markdown."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from pydantic import TypeAdapter

from app.domain.evaluation import EvaluatedRow, EvaluationPlan
from app.evaluation.base import Metric
from app.evaluation.compare_runs import RunComparison, Tested

_METRICS = TypeAdapter(list[Metric])
_FLOORS = TypeAdapter(dict[str, list[Metric]])
_MOST_ERRORS = 10


@dataclass(frozen=True, slots=True)
class Findings:
    """The metrics of a run, and those of answers that need no model, by name."""

    metrics: Sequence[Metric]
    floors: Mapping[str, Sequence[Metric]] = field(default_factory=dict)

    def to_values(self) -> dict[str, Any]:
        """As JSON-able values."""
        return {
            "metrics": _METRICS.dump_python(list(self.metrics), mode="json"),
            "floors": _FLOORS.dump_python(
                {name: list(metrics) for name, metrics in self.floors.items()}, mode="json"
            ),
        }

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "Findings":
        """The inverse of `to_values`.

        Raises:
            KeyError: A field is missing.
            pydantic.ValidationError: A field is not valid.
        """
        return cls(
            _METRICS.validate_python(values["metrics"]), _FLOORS.validate_python(values["floors"])
        )


@dataclass(frozen=True, slots=True)
class RunReport:
    """A run and its findings, which are None until every row has a result.

    total: number of rows. seconds: wall-clock time. program: the version that ran it.
    """

    id: str
    name: str | None
    plan: EvaluationPlan
    rows: Sequence[EvaluatedRow]
    total: int
    seconds: float
    findings: Findings | None
    created_at: datetime
    finished_at: datetime | None
    program: str
    command: str

    @property
    def failed(self) -> int:
        """Rows that could not be answered; they count as wrong."""
        return sum(row.error is not None for row in self.rows)

    def tokens(self, kind: str) -> int:
        """All `prompt_tokens` or `completion_tokens`, judging included."""
        return sum(row.outcome[kind] for row in self.rows if row.outcome is not None)

    def errors(self) -> list[tuple[str, int]]:
        """The most frequent error messages of failed rows, with their counts."""
        found = Counter(row.error for row in self.rows if row.error is not None)
        return found.most_common(_MOST_ERRORS)

    def to_values(self, *, with_rows: bool = False) -> dict[str, Any]:
        """The report as JSON-able values."""
        findings = Findings([]) if self.findings is None else self.findings
        values = {
            "id": self.id,
            "name": self.name,
            **asdict(self.plan),
            "total": self.total,
            "done": len(self.rows),
            "failed": self.failed,
            "errors": [{"message": text, "rows": count} for text, count in self.errors()],
            "prompt_tokens": self.tokens("prompt_tokens"),
            "completion_tokens": self.tokens("completion_tokens"),
            "seconds": self.seconds,
            **findings.to_values(),
            "created_at": self.created_at.isoformat(),
            "finished_at": None if self.finished_at is None else self.finished_at.isoformat(),
            "program": self.program,
            "command": self.command,
        }
        return values | ({"rows": [asdict(row) for row in self.rows]} if with_rows else {})


def facts(report: RunReport) -> list[tuple[str, str]]:
    """The properties of a run, as names and texts."""
    plan = report.plan
    limit = "" if plan.limit is None else f", the first {plan.limit}"
    lines = [
        ("run", report.id + (f" ({report.name})" if report.name else "")),
        ("data", f"{plan.source}, SHA-256 {plan.digest[:12]}…{limit}"),
        ("mode", _mode(plan)),
        ("checkpoints", f"actor@{plan.versions.actor}, refiner@{plan.versions.refiner}"),
        ("model", plan.model),
        ("seed", str(plan.seed)),
        ("options", _options(plan)),
        ("rows", f"{len(report.rows):,} of {report.total:,}, {report.failed:,} failed"),
        (
            "tokens",
            f"{report.tokens('prompt_tokens'):,} read, "
            f"{report.tokens('completion_tokens'):,} generated",
        ),
        ("time", _duration(report.seconds)),
        ("date", f"{report.created_at:%Y-%m-%d %H:%M} UTC"),
        ("version", report.program),
        ("command", report.command),
    ]
    return [*lines, *(("failed", f"{count} times: {text}") for text, count in report.errors())]


def metric_table(findings: Findings) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: each metric with its interval, and every floor beside it."""
    floors = {
        name: {metric.name: metric.value for metric in metrics}
        for name, metrics in findings.floors.items()
    }
    rows = []
    for metric in findings.metrics:
        values = [floor.get(metric.name) for floor in floors.values()]
        rows.append(
            [
                metric.name,
                f"{metric.value:.1%}",
                f"{metric.low:.1%} to {metric.high:.1%}",
                f"{metric.n:,}",
                *("" if value is None else f"{value:.1%}" for value in values),
            ]
        )
    return ["metric", "value", "95 %", "n", *(f"floor: {name}" for name in floors)], rows


def comparison_table(comparison: RunComparison) -> tuple[list[str], list[list[str]]]:
    """Headings and rows: each metric of both runs, the difference with its interval, and p."""
    headings = ["metric", "first", "second", "difference", "95 %", "p", "test", "rows"]
    return headings, [_tested_row(tested) for tested in comparison.metrics]


def markdown(report: RunReport) -> str:
    """The whole report as a Markdown document."""
    title = f"# {report.plan.suite}: {report.name or report.id}"
    parts = [title, markdown_table(["", ""], [list(line) for line in facts(report)])]
    if report.findings is None:
        parts.append("The run has not finished: there are no metrics yet.")
    else:
        parts.append(markdown_table(*metric_table(report.findings)))
    return "\n\n".join(parts) + "\n"


def _tested_row(tested: Tested) -> list[str]:
    found = tested.comparison
    return [
        found.name,
        f"{found.incumbent:.1%}",
        f"{found.candidate:.1%}",
        f"{found.difference:+.1%}",
        f"{found.low:+.1%} to {found.high:+.1%}",
        f"{tested.p:.4f}",
        "McNemar" if tested.exact else "bootstrap",
        f"{found.n:,}",
    ]


def _mode(plan: EvaluationPlan) -> str:
    if plan.mode is None:
        return "judging given responses"
    if not plan.with_constraints:
        return f"{plan.mode}, without the rows' constraints"
    return f"{plan.mode}, with the rows' constraints: the search sees the checks that score it"


def _options(plan: EvaluationPlan) -> str:
    options = [pair for kind in plan.options.values() for pair in kind.items()]
    return ", ".join(f"{name} {value}" for name, value in options if value not in (None, []))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}"


def markdown_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; bars in cells are escaped, line breaks become spaces."""
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join(f"| {' | '.join(map(_cell, line))} |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())

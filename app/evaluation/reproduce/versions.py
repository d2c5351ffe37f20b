"""Versions of a role on a benchmark: what is measured, and the tables and plots of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.domain.checkpoint import Role
from app.domain.options import Mode
from app.evaluation.base import Figure
from app.evaluation.data import Data, read_data
from app.evaluation.report import RunReport
from app.evaluation.reproduce.report import Cell, Line, Plot, Point, Table, point
from app.evaluation.shape import search_shape
from app.evaluation.suites import suite_named

SHOWN: Mapping[str, tuple[str, ...]] = {
    "ifeval": ("average_of_four", "prompts_strict", "instructions_strict", "copies"),
    "followbench": ("ssr", "ssr/rule"),
    "llmbar": ("accuracy", "f1", "pairwise", "agreement"),
}
"""The figures of each benchmark that are in a table; a plot shows the first."""


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark that versions of a role are measured on.

    mode: how answers are looked for, None for judges. options: as a run's plan has them.
    """

    suite: str
    data: Data
    role: Role
    mode: Mode | None
    options: Mapping[str, Any]

    @property
    def shown(self) -> tuple[str, ...]:
        """Its figures in a table."""
        return SHOWN[self.suite]

    @property
    def primary(self) -> str:
        """The metric that versions are compared by."""
        return suite_named(self.suite).primary

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that decides what is asked, as JSON-able values."""
        return {
            "suite": self.suite,
            "file": self.data.digest,
            "role": self.role,
            "shown": self.shown,
            "mode": self.mode,
            "options": self.options,
        }


def answering(suite: str, file: Path, limit: int | None, length: int) -> Benchmark:
    """A benchmark that asks the actor for greedy answers. Raises `ConfigurationError`."""
    search = search_shape("votes", "gate")
    options = {"search": search, "budget": {}, "sampling": {"max_tokens": length}}
    data = read_data(suite_named(suite), file, limit)
    return Benchmark(suite, data, Role.ACTOR, Mode.GREEDY, options)


def judging(file: Path, limit: int | None, votes: int) -> Benchmark:
    """LLMBar, asked of the refiner. Raises `ConfigurationError`."""
    search = search_shape("gate", votes=votes)
    options: dict[str, Any] = {"search": search, "budget": {}, "sampling": {}}
    data = read_data(suite_named("llmbar"), file, limit)
    return Benchmark("llmbar", data, Role.REFINER, None, options)


@dataclass(frozen=True, slots=True)
class Measured:
    """The runs of a benchmark by version, and p of each against the first version's."""

    runs: Mapping[int, RunReport]
    p: Mapping[int, float]

    def figure(self, version: int, name: str) -> Figure | None:
        """A figure of a version's run, if it has it."""
        findings = self.runs[version].findings
        figures = () if findings is None else findings.figures
        return next((one for one in figures if one.name == name), None)

    def floors(self, name: str) -> Mapping[str, Figure]:
        """The same figure of answers that need no model."""
        findings = next(iter(self.runs.values())).findings
        found = {} if findings is None else findings.floors
        return {
            floor: one for floor, figures in found.items() for one in figures if one.name == name
        }


def version_table(benchmark: Benchmark, measured: Measured) -> Table:
    """A row for each version and for each floor."""
    role, first = benchmark.role.value, next(iter(measured.runs))
    p_name = f"p against {first} ({benchmark.primary})"
    rows: list[dict[str, Cell]] = []
    for version, run in measured.runs.items():
        figures = {name: measured.figure(version, name) for name in benchmark.shown}
        p = measured.p.get(version)
        rows.append({role: f"{version}", **figures, p_name: p, "rows": len(run.rows)})
    names = dict.fromkeys(floor for name in benchmark.shown for floor in measured.floors(name))
    for floor in names:
        figures = {name: measured.floors(name).get(floor) for name in benchmark.shown}
        rows.append({role: f"floor: {floor}", **figures, p_name: None, "rows": None})
    return Table(f"{benchmark.suite}: {role} by version", rows)


def version_plot(name: str, benchmark: Benchmark, measured: Measured) -> Plot:
    """The first figure over the versions, with its floors as level lines."""
    shown = benchmark.shown[0]
    found = [(version, measured.figure(version, shown)) for version in measured.runs]
    points = [point(version, figure) for version, figure in found if figure is not None]
    ends = (min(measured.runs), max(measured.runs))
    floors = [
        Line(f"floor: {floor}", [Point(end, figure.value) for end in ends])
        for floor, figure in measured.floors(shown).items()
    ]
    title = f"{benchmark.suite}: {shown}"
    return Plot(name, title, f"version of the {benchmark.role}", "", [Line(shown, points), *floors])

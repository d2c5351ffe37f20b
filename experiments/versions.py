"""Checkpoints by version, as actors (Tables 1 and 6, Figure 3) and as judges (Tables 2, 8 and 9).

Every version is measured by a run of `spar eval`, which is stored and can be shown like any other.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from app.cli.eval.runs import NewRun as Run
from app.cli.eval.runs import evaluate
from app.cli.eval.stored import compare_stored, read_report
from app.domain.checkpoint import Role
from app.domain.search import Mode, SearchOptions
from app.evaluation.base import Metric, search_shape
from app.evaluation.data import Data, names_of, read_data
from app.evaluation.report import RunReport
from app.evaluation.suites import suite_named
from experiments.context import Context
from experiments.report import Cell, Facts, Line, Plot, Point, Report, Table, point
from experiments.votes import Pair, Poll, curve, table

GATE = SearchOptions().accept_threshold

COUNTS = (1, 3, 5, 7)
"""Numbers of votes that are compared; the last is the number of votes that are cast."""

SHOWN: Mapping[str, tuple[str, ...]] = {
    "ifeval": ("average_of_four", "prompts_strict", "instructions_strict", "copies"),
    "followbench": ("ssr", "ssr/rule"),
    "llmbar": ("accuracy", "f1", "pairwise", "agreement"),
}
"""The metrics of each benchmark in a table; a plot shows the first."""

_NOTES = (
    "In brackets: the 95 % interval. Floors are the results of answers that need no model; a result"
    " at its floor says nothing about the model.",
    "Versions are compared on the same rows. p is for one difference; of many differences"
    " some are small by chance.",
)


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark on which versions of a role are measured.

    mode: how answers are searched for; None for judges. options: as in the plan of a run.
    """

    suite: str
    data: Data
    role: Role
    mode: Mode | None
    options: Mapping[str, Any]

    @property
    def shown(self) -> tuple[str, ...]:
        """Its metrics in a table."""
        return SHOWN[self.suite]

    @property
    def primary(self) -> str:
        """The metric by which versions are compared."""
        return suite_named(self.suite).primary

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that decides the requests of a run, as JSON-able values."""
        return {
            "suite": self.suite,
            "file": self.data.digest,
            "role": self.role,
            "shown": self.shown,
            "mode": self.mode,
            "options": self.options,
        }


def answering(suite: str, file: Path, limit: int | None, length: int) -> Benchmark:
    """A benchmark of the actor's greedy answers of at most `length` tokens.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    search = search_shape("votes", "accept_threshold")
    options = {"search": search, "budget": {}, "sampling": {"max_tokens": length}}
    data = read_data(suite_named(suite), file, limit)
    return Benchmark(suite, data, Role.ACTOR, Mode.GREEDY, options)


def judging(file: Path, limit: int | None, votes: int) -> Benchmark:
    """LLMBar, judged by the refiner with this number of votes.

    Raises:
        ConfigurationError: The file cannot be read.
    """
    search = search_shape("accept_threshold", votes=votes)
    options: dict[str, Any] = {"search": search, "budget": {}, "sampling": {}}
    data = read_data(suite_named("llmbar"), file, limit)
    return Benchmark("llmbar", data, Role.REFINER, None, options)


@dataclass(frozen=True, slots=True)
class Measured:
    """The runs of a benchmark by version, and p of each against the first version's run."""

    runs: Mapping[int, RunReport]
    p: Mapping[int, float]

    def metric(self, version: int, name: str) -> Metric | None:
        """A metric of a version's run, if the run has it."""
        findings = self.runs[version].findings
        metrics = () if findings is None else findings.metrics
        return next((one for one in metrics if one.name == name), None)

    def floors(self, name: str) -> Mapping[str, Metric]:
        """The same metric of answers that need no model, by the kind of answer."""
        findings = next(iter(self.runs.values())).findings
        found = {} if findings is None else findings.floors
        return {
            floor: one for floor, metrics in found.items() for one in metrics if one.name == name
        }


Results = Sequence[tuple[Benchmark, Measured]]


async def measure(
    context: Context, benchmark: Benchmark, versions: Sequence[int], other: int = 0
) -> Measured:
    """Measure versions of the benchmark's role; runs that the journal has are read, not repeated.

    other: the version of the other role, the same in all runs. Raises what `evaluate` raises.
    """
    limit = context.options.limit
    plan = {"kind": "runs", "other": other, **benchmark.identity, "limit": limit}
    journal = context.journal(plan)
    runs: dict[int, RunReport] = {}
    for version in versions:
        key = f"{benchmark.suite} {benchmark.role}@{version}"
        if key not in journal.rows:
            run = _run(context, benchmark, version, other)
            ended = await evaluate(context.where, run, context.database)
            journal.add(key, {"run": ended.id})
        runs[version] = await read_report(context.database, journal.rows[key]["run"])
    first = runs[versions[0]]
    p: dict[int, float] = {}
    for version, report in list(runs.items())[1:]:
        found = await compare_stored(context.database, first.id, report.id, None)
        p[version] = found.metrics[0].p
    return Measured(runs, p)


async def iterations_experiment(
    context: Context, benchmarks: Sequence[Benchmark], selected: Sequence[int] | None, judge: int
) -> Report:
    """Tables 1 and 6, Figure 3.

    judge: the refiner's version that judges constraints which no rule can check.
    """
    versions = await context.versions(Role.ACTOR, selected)
    results = [(one, await measure(context, one, versions, judge)) for one in benchmarks]
    return Report(
        name="iterations",
        title="Checkpoints by iteration",
        shows="SPaR's Tables 1 and 6 and Figure 3: the actor of every iteration, greedily decoded.",
        facts=context.options.facts(**_files(benchmarks)),
        tables=[version_table(*both) for both in results],
        plots=[version_plot(f"iterations-{both[0].suite}", *both) for both in results],
        notes=_NOTES,
    )


async def judging_experiment(
    context: Context, benchmarks: Sequence[Benchmark], data: Data, selected: Sequence[int] | None
) -> Report:
    """Tables 2, 8 and 9: refiners by iteration, and the last of them by number of votes.

    data: the rows of all the benchmarks, on which votes are cast.
    """
    versions = await context.versions(Role.REFINER, selected)
    results = [(one, await measure(context, one, versions)) for one in benchmarks]
    last = versions[-1]
    poll = Poll(context.server, last, COUNTS[-1], GATE, context.options.seed)
    plan = {"kind": "votes", "digest": data.digest, "refiner": last, "votes": COUNTS[-1]}
    rows = await context.collect(context.journal(plan), data, poll.ask)
    pairs = [Pair.from_row(row) for row in rows.values()]
    votes = f"refiner@{last}, accept_threshold {GATE}"
    return judging_report(results, pairs, context.options.facts(**_files(benchmarks), votes=votes))


def judging_report(results: Results, pairs: Sequence[Pair], facts: Facts) -> Report:
    """The report of `judging_experiment`. pairs: the last version's votes on all the rows."""
    line = Line("share of yes", [point(count, one) for count, one in curve(pairs, COUNTS, GATE)])
    return Report(
        name="judging",
        title="The refiner as a judge",
        shows="SPaR's Tables 2 and 8 (the refiner of every iteration on LLMBar) and Table 9"
        " (numbers of votes, and the token-probability judge).",
        facts=facts,
        tables=[
            *_tables_by_file(results),
            Table("By number of votes", table(pairs, COUNTS, GATE)),
        ],
        plots=[Plot("judging-votes", "Which response is better", "votes", [line])],
        notes=[
            *_NOTES,
            "1, 3 and 5 votes are all subsets of the 7 that were cast. A tie counts as half right,"
            " so random verdicts have 50 %.",
        ],
    )


def version_table(benchmark: Benchmark, measured: Measured) -> Table:
    """A row for each version and for each floor."""
    role, first = benchmark.role.value, next(iter(measured.runs))
    p_name = f"p against {first} ({benchmark.primary})"
    rows: list[dict[str, Cell]] = []
    for version, run in measured.runs.items():
        metrics = {name: measured.metric(version, name) for name in benchmark.shown}
        p = measured.p.get(version)
        rows.append({role: f"{version}", **metrics, p_name: p, "rows": len(run.rows)})
    names = dict.fromkeys(floor for name in benchmark.shown for floor in measured.floors(name))
    for floor in names:
        metrics = {name: measured.floors(name).get(floor) for name in benchmark.shown}
        rows.append({role: f"floor: {floor}", **metrics, p_name: None, "rows": None})
    return Table(f"{benchmark.suite}: {role} by version", rows)


def version_plot(name: str, benchmark: Benchmark, measured: Measured) -> Plot:
    """The first metric over the versions, with its floors as horizontal lines."""
    shown = benchmark.shown[0]
    found = [(version, measured.metric(version, shown)) for version in measured.runs]
    points = [point(version, metric) for version, metric in found if metric is not None]
    ends = (min(measured.runs), max(measured.runs))
    floors = [
        Line(f"floor: {floor}", [Point(end, metric.value) for end in ends])
        for floor, metric in measured.floors(shown).items()
    ]
    title = f"{benchmark.suite}: {shown}"
    return Plot(name, title, f"version of the {benchmark.role}", [Line(shown, points), *floors])


def _run(context: Context, benchmark: Benchmark, version: int, other: int) -> Run:
    versions = dict.fromkeys(Role, other) | {benchmark.role: version}
    return Run(
        suite=benchmark.suite,
        file=benchmark.data.file,
        mode=benchmark.mode,
        options=benchmark.options,
        versions=versions,
        seed=context.options.seed,
        limit=context.options.limit,
        name=f"{context.options.name}/{benchmark.suite}/{benchmark.role}@{version}",
        resume=True,
    )


def _files(benchmarks: Sequence[Benchmark]) -> dict[str, str]:
    """The names of each benchmark's files."""
    names: dict[str, list[str]] = {}
    for one in benchmarks:
        names.setdefault(one.suite, []).append(one.data.file.name)
    return {suite: ", ".join(files) for suite, files in names.items()}


def _tables_by_file(results: Results) -> Iterator[Table]:
    """The table of each benchmark, its title preceded by the name of the file."""
    names = names_of([benchmark.data.file for benchmark, _ in results])
    for name, both in zip(names, results, strict=True):
        found = version_table(*both)
        yield replace(found, title=f"{name}: {found.title}")

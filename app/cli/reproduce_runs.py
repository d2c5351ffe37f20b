"""Experiments made of `spar eval` runs: checkpoints by iteration, as actors and as judges."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from app.cli.eval_store import compare_stored, read_report
from app.cli.eval_work import Wanted as Run
from app.cli.eval_work import evaluate
from app.cli.reproduce_lab import Lab, facts, rows_of
from app.domain.checkpoint import Role
from app.domain.options import Mode, SearchOptions
from app.evaluation.base import Figure
from app.evaluation.llmbar import LLMBar
from app.evaluation.report import RunReport
from app.evaluation.reproduce.report import Cell, Line, Plot, Point, Report, Table, point
from app.evaluation.reproduce.searching import Polls
from app.evaluation.reproduce.votes import curve, pair_from, table

IFEVAL_SHOWN = ("average_of_four", "prompts_strict", "instructions_strict", "copies")
LLMBAR_SHOWN = ("accuracy", "f1", "pairwise", "agreement")
FOLLOWBENCH_SHOWN = ("ssr", "ssr/rule")
COUNTS = (1, 3, 5, 7)
GATE = SearchOptions().gate


@dataclass(frozen=True, slots=True)
class Benchmark:
    """A benchmark that versions of a role are measured on.

    shown: its figures in the table; p is that of the first that is compared. mode: how answers
    are looked for, None for judges.
    """

    suite: str
    file: Path
    role: Role
    shown: Sequence[str]
    mode: Mode | None
    options: Mapping[str, Any]


def answering(suite: str, file: Path, shown: Sequence[str], length: int) -> Benchmark:
    """A benchmark that asks the actor for greedy answers."""
    options = {"search": _shape("votes", "gate"), "budget": {}, "sampling": {"max_tokens": length}}
    return Benchmark(suite, file, Role.ACTOR, shown, Mode.GREEDY, options)


def judging_of(file: Path, votes: int) -> Benchmark:
    """LLMBar, asked of the refiner."""
    search = {**_shape("gate"), "votes": votes}
    options: dict[str, Any] = {"search": search, "budget": {}, "sampling": {}}
    return Benchmark("llmbar", file, Role.REFINER, LLMBAR_SHOWN, None, options)


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


async def measure(
    lab: Lab, benchmark: Benchmark, versions: Sequence[int], other: int = 0
) -> Measured:
    """Measure these versions of the benchmark's role; what an earlier call measured is read.

    other: the version of the other role, the same in all runs. Raises what `evaluate` raises.
    """
    journal = lab.journal({"kind": "runs", "other": other, **_identity(benchmark, lab)})
    runs: dict[int, RunReport] = {}
    for version in versions:
        key = f"{benchmark.suite} {benchmark.role}@{version}"
        if key not in journal.rows:
            run = await evaluate(lab.where, _run(lab, benchmark, version, other), lab.database)
            journal.add(key, {"run": run.id})
        runs[version] = await read_report(lab.database, journal.rows[key]["run"])
    first = runs[versions[0]]
    p: dict[int, float] = {}
    for version, run in list(runs.items())[1:]:
        found = await compare_stored(lab.database, first.id, run.id, None)
        p[version] = found.metrics[0].p
    return Measured(runs, p)


def version_table(benchmark: Benchmark, measured: Measured, primary: str) -> Table:
    """A row for each version and for each floor."""
    first = next(iter(measured.runs))
    p_name = f"p against {first} ({primary})"
    rows: list[dict[str, Cell]] = []
    for version, run in measured.runs.items():
        figures = {name: measured.figure(version, name) for name in benchmark.shown}
        p = measured.p.get(version)
        rows.append(
            {f"{benchmark.role}": f"{version}", **figures, p_name: p, "rows": len(run.rows)}
        )
    names = dict.fromkeys(floor for name in benchmark.shown for floor in measured.floors(name))
    for floor in names:
        figures = {name: measured.floors(name).get(floor) for name in benchmark.shown}
        rows.append({f"{benchmark.role}": f"floor: {floor}", **figures, p_name: None, "rows": None})
    return Table(f"{benchmark.suite}: {benchmark.role} by version", rows)


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


async def iterations(
    lab: Lab, benchmarks: Sequence[Benchmark], named: Sequence[int] | None, judge: int
) -> Report:
    """Tables 1 and 6, Figure 3. judge: the refiner's version for what no rule can score."""
    versions = await lab.versions(Role.ACTOR, named)
    measured = [await measure(lab, benchmark, versions, judge) for benchmark in benchmarks]
    both = list(zip(benchmarks, measured, strict=True))
    return Report(
        name="iterations",
        title="Checkpoints by iteration",
        shows="SPaR's Tables 1 and 6 and Figure 3: the actor of every iteration, greedily decoded.",
        facts=facts(lab.wanted, **_files(benchmarks)),
        tables=[version_table(benchmark, found, _primary(benchmark)) for benchmark, found in both],
        plots=[
            version_plot(f"iterations-{benchmark.suite}", benchmark, found)
            for benchmark, found in both
        ],
        notes=_notes(),
    )


async def judging(
    lab: Lab, files: Sequence[Path], named: Sequence[int] | None, votes: int
) -> Report:
    """Tables 2, 8 and 9: refiners by iteration, and the last of them by number of votes."""
    versions = await lab.versions(Role.REFINER, named)
    benchmarks = [judging_of(file, votes) for file in files]
    measured = [await measure(lab, benchmark, versions) for benchmark in benchmarks]
    data, last = rows_of(LLMBar(), files, lab.wanted.limit), versions[-1]
    polls = Polls(lab.server, last, COUNTS[-1], GATE, lab.wanted.seed)
    plan = {"kind": "votes", "digest": data.digest, "refiner": last, "votes": COUNTS[-1]}
    rows = await lab.gather(lab.journal(plan), data, polls.ask)
    pairs = [pair_from(row) for row in rows.values()]
    line = Line("share of yes", [point(count, one) for count, one in curve(pairs, COUNTS, GATE)])
    tables = [
        version_table(benchmark, found, _primary(benchmark))
        for benchmark, found in zip(benchmarks, measured, strict=True)
    ]
    titled = [
        Table(f"{file.stem}: {found.title}", found.rows)
        for file, found in zip(files, tables, strict=True)
    ]
    return Report(
        name="judging",
        title="The refiner as a judge",
        shows="SPaR's Tables 2 and 8 (the refiner of every iteration on LLMBar) and Table 9"
        " (numbers of votes, and the token-probability judge).",
        facts=facts(lab.wanted, **_files(benchmarks), votes=f"refiner@{last}, gate {GATE}"),
        tables=[*titled, Table("By number of votes", table(pairs, COUNTS, GATE))],
        plots=[Plot("judging-votes", "Which response is better", "votes", "", [line])],
        notes=[
            *_notes(),
            "1, 3 and 5 votes are all subsets of the 7 that were cast. A tie is half right, so a"
            " coin has 50 %.",
        ],
    )


def _run(lab: Lab, benchmark: Benchmark, version: int, other: int) -> Run:
    versions = dict.fromkeys(Role, other) | {benchmark.role: version}
    return Run(
        suite=benchmark.suite,
        file=benchmark.file,
        mode=benchmark.mode,
        options=benchmark.options,
        versions=versions,
        seed=lab.wanted.seed,
        limit=lab.wanted.limit,
        name=f"{lab.wanted.name}/{benchmark.suite}/{benchmark.role}@{version}",
        resume=True,
    )


def _identity(benchmark: Benchmark, lab: Lab) -> dict[str, Any]:
    from hashlib import sha256

    digest = sha256(benchmark.file.read_bytes()).hexdigest()
    return {**asdict(benchmark), "file": digest, "limit": lab.wanted.limit}


def _shape(*names: str) -> dict[str, Any]:
    return {name: getattr(SearchOptions(), name) for name in names}


def _primary(benchmark: Benchmark) -> str:
    from app.evaluation.suites import suite_named

    return suite_named(benchmark.suite).primary


def _files(benchmarks: Sequence[Benchmark]) -> dict[str, str]:
    names = dict.fromkeys((one.suite for one in benchmarks), "")
    return {
        name: ", ".join(one.file.name for one in benchmarks if one.suite == name) for name in names
    }


def _notes() -> list[str]:
    return [
        "In brackets: the 95 % interval. Floors are what answers get that need no model; a figure"
        " at its floor says nothing.",
        "Versions are compared on the same rows. p is for one difference; of many differences"
        " some are small by chance.",
    ]

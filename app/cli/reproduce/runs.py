"""Experiments made of `spar eval` runs: checkpoints by iteration, as actors and as judges."""

from collections.abc import Sequence

from app.cli.eval.plan import Wanted as Run
from app.cli.eval.store import compare_stored, read_report
from app.cli.eval.work import evaluate
from app.cli.reproduce.facts import facts
from app.cli.reproduce.lab import Lab
from app.domain.checkpoint import Role
from app.domain.options import SearchOptions
from app.evaluation.data import Data
from app.evaluation.report import RunReport
from app.evaluation.reproduce.report import Report
from app.evaluation.reproduce.searching import Polls
from app.evaluation.reproduce.version_reports import COUNTS, iterations_report, judging_report
from app.evaluation.reproduce.versions import Benchmark, Measured
from app.evaluation.reproduce.votes import pair_from

GATE = SearchOptions().gate


async def measure(
    lab: Lab, benchmark: Benchmark, versions: Sequence[int], other: int = 0
) -> Measured:
    """Measure these versions of the benchmark's role; what an earlier call measured is read.

    other: the version of the other role, the same in all runs. Raises what `evaluate` raises.
    """
    limit = lab.wanted.limit
    plan = {"kind": "runs", "other": other, **benchmark.identity, "limit": limit}
    journal = lab.journal(plan)
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


async def iterations(
    lab: Lab, benchmarks: Sequence[Benchmark], named: Sequence[int] | None, judge: int
) -> Report:
    """Tables 1 and 6, Figure 3. judge: the refiner's version for what no rule can score."""
    versions = await lab.versions(Role.ACTOR, named)
    measured = [(one, await measure(lab, one, versions, judge)) for one in benchmarks]
    return iterations_report(measured, facts(lab.wanted, **_files(benchmarks)))


async def judging(
    lab: Lab, benchmarks: Sequence[Benchmark], data: Data, named: Sequence[int] | None
) -> Report:
    """Tables 2, 8 and 9: refiners by iteration, and the last of them by number of votes.

    data: the rows of all the benchmarks, on which votes are cast.
    """
    versions = await lab.versions(Role.REFINER, named)
    measured = [(one, await measure(lab, one, versions)) for one in benchmarks]
    last = versions[-1]
    polls = Polls(lab.server, last, COUNTS[-1], GATE, lab.wanted.seed)
    plan = {"kind": "votes", "digest": data.digest, "refiner": last, "votes": COUNTS[-1]}
    rows = await lab.gather(lab.journal(plan), data, polls.ask)
    about = facts(lab.wanted, **_files(benchmarks), votes=f"refiner@{last}, gate {GATE}")
    return judging_report(measured, [pair_from(row) for row in rows.values()], GATE, about)


def _run(lab: Lab, benchmark: Benchmark, version: int, other: int) -> Run:
    versions = dict.fromkeys(Role, other) | {benchmark.role: version}
    return Run(
        suite=benchmark.suite,
        file=benchmark.data.file,
        mode=benchmark.mode,
        options=benchmark.options,
        versions=versions,
        seed=lab.wanted.seed,
        limit=lab.wanted.limit,
        name=f"{lab.wanted.name}/{benchmark.suite}/{benchmark.role}@{version}",
        resume=True,
    )


def _files(benchmarks: Sequence[Benchmark]) -> dict[str, str]:
    """The names of each benchmark's files."""
    names: dict[str, list[str]] = {}
    for one in benchmarks:
        names.setdefault(one.suite, []).append(one.data.file.name)
    return {suite: ", ".join(files) for suite, files in names.items()}

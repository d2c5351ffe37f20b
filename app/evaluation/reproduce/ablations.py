"""Self-play without one of its parts (Tables 4 and 5): the variants, and their report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.options import Mode
from app.evaluation.reproduce.report import Cell, Facts, Report, Table
from app.evaluation.reproduce.versions import Benchmark, Measured


@dataclass(frozen=True, slots=True)
class Variant:
    """Self-play of so many iterations, one after the other; `data` replaces options of theirs."""

    name: str
    iterations: int
    data: Mapping[str, Any]


def variants(iterations: int, prompts: int) -> tuple[Variant, ...]:
    """The whole procedure, and what SPaR leaves out of it, one part at a time.

    prompts: of each iteration. Without iterating, all their prompts are played on at once, by the
    checkpoints of the beginning; with one iteration that is no variant of its own.
    """
    once = Variant("no iterative training", 1, {"prompts": iterations * prompts})
    return (
        Variant("whole", iterations, {}),
        Variant("no tree search", iterations, {"mode": Mode.GREEDY.value}),
        *((once,) if iterations > 1 else ()),
        Variant("no refinement", iterations, {"refine": False, "own_pairs": 1}),
    )


def variant_table(benchmark: Benchmark, measured: Measured, versions: Mapping[str, int]) -> Table:
    """A row for each variant. versions: the version of the benchmark's role that it ended with."""
    rows: list[dict[str, Cell]] = []
    for name, version in versions.items():
        figures = {one: measured.figure(version, one) for one in benchmark.shown}
        trained = f"{benchmark.role}@{version}"
        rows.append({"variant": name, "version": trained, **figures, "p": measured.p.get(version)})
    return Table(f"{benchmark.suite}: the {benchmark.role} of each variant", rows)


def ablations_report(tables: Sequence[Table], facts: Facts) -> Report:
    """Tables 4 and 5."""
    return Report(
        name="ablations",
        title="Self-play without one of its parts",
        shows="SPaR's Tables 4 and 5: no tree search, no iterative training, no refinement.",
        facts=facts,
        tables=tables,
        notes=[
            "Every variant begins with the same checkpoints, and each of its iterations is promoted"
            " whatever it measures. Without tree search a rejected response is rewritten once."
            " Without refinement the actor learns from its own accepted and rejected responses.",
            "An iteration takes the prompts that were used least, so the variants play on prompts"
            " of the same kind, not on the same prompts.",
        ],
    )

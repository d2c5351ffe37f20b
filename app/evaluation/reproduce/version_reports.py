"""The reports of experiments made of runs: checkpoints by iteration, as actors and as judges."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from app.evaluation.data import names_of
from app.evaluation.reproduce.report import Facts, Line, Plot, Report, Table, point
from app.evaluation.reproduce.versions import Benchmark, Measured, version_plot, version_table
from app.evaluation.reproduce.votes import Pair, curve, table

COUNTS = (1, 3, 5, 7)
"""Numbers of votes that are compared; the last is how many are cast."""

Both = Sequence[tuple[Benchmark, Measured]]

_NOTES = (
    "In brackets: the 95 % interval. Floors are what answers get that need no model; a figure"
    " at its floor says nothing.",
    "Versions are compared on the same rows. p is for one difference; of many differences"
    " some are small by chance.",
)


def iterations_report(measured: Both, facts: Facts) -> Report:
    """Tables 1 and 6, Figure 3."""
    return Report(
        name="iterations",
        title="Checkpoints by iteration",
        shows="SPaR's Tables 1 and 6 and Figure 3: the actor of every iteration, greedily decoded.",
        facts=facts,
        tables=[version_table(*both) for both in measured],
        plots=[version_plot(f"iterations-{both[0].suite}", *both) for both in measured],
        notes=_NOTES,
    )


def judging_report(measured: Both, pairs: Sequence[Pair], gate: float, facts: Facts) -> Report:
    """Tables 2, 8 and 9. pairs: what the last version's votes on all the rows were."""
    line = Line("share of yes", [point(count, one) for count, one in curve(pairs, COUNTS, gate)])
    return Report(
        name="judging",
        title="The refiner as a judge",
        shows="SPaR's Tables 2 and 8 (the refiner of every iteration on LLMBar) and Table 9"
        " (numbers of votes, and the token-probability judge).",
        facts=facts,
        tables=[
            *_titled(measured),
            Table("By number of votes", table(pairs, COUNTS, gate)),
        ],
        plots=[Plot("judging-votes", "Which response is better", "votes", "", [line])],
        notes=[
            *_NOTES,
            "1, 3 and 5 votes are all subsets of the 7 that were cast. A tie is half right, so a"
            " coin has 50 %.",
        ],
    )


def _titled(measured: Both) -> Iterator[Table]:
    """The table of each of several files, with the file's name."""
    names = names_of([benchmark.data.file for benchmark, _ in measured])
    for name, both in zip(names, measured, strict=True):
        found = version_table(*both)
        yield replace(found, title=f"{name}: {found.title}")

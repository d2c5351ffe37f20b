"""Tables and curves of searches: refinement (Tables 3 and 10) and scaling (Figure 5)."""

from collections.abc import Mapping, Sequence

from app.domain.options import Mode
from app.evaluation.paired import compare
from app.evaluation.reproduce.journal import Row
from app.evaluation.reproduce.report import Cell, Line, Plot, Table, point
from app.evaluation.reproduce.trees import (
    JUDGES,
    OUTSIDE,
    OWN,
    Growth,
    accuracy,
    mean,
    right,
)

Trees = Mapping[Mode, Sequence[Growth]]
"""The trees of each mode; those of one item have the same place."""


def trees_of(rows: Sequence[Row], modes: Sequence[Mode]) -> Trees:
    """The trees of the items that every mode has one of."""
    whole = [row for row in rows if all(mode.value in row for mode in modes)]
    return {mode: [Growth.from_values(row[mode.value]) for row in whole] for mode in modes}


def begun_rejected(trees: Trees) -> Trees:
    """Without the items whose given response a mode's search accepted when it judged it again.

    Votes are drawn. Such a search had nothing to repair, and says nothing of repairing.
    """
    by_item = zip(*trees.values(), strict=True)
    kept = [
        all(not node.accepted for growth in some for node in growth.nodes if node.id == 0)
        for some in by_item
    ]
    return {
        mode: [growth for growth, keep in zip(growths, kept, strict=True) if keep]
        for mode, growths in trees.items()
    }


def mode_table(title: str, trees: Trees, first: Mode) -> Table:
    """A row for each mode: right by either judge, what it took, and p against the first mode."""
    rows: list[dict[str, Cell]] = []
    for mode, growths in trees.items():
        rows.append(
            {
                "mode": mode.value,
                "items": len(growths),
                f"right by the {OWN}": accuracy(growths, OWN),
                f"right by the {OUTSIDE}": accuracy(growths, OUTSIDE),
                "generations": mean([growth.generations for growth in growths]),
                "tokens": mean([growth.tokens for growth in growths]),
                f"p against {first} ({OUTSIDE})": _p(growths, trees[first], mode is first),
            }
        )
    return Table(title, rows)


def growth_tables(trees: Trees, generations: int) -> list[Table]:
    """For each judge a table of every mode's accuracy after 1, 2, ... generations."""
    return [
        Table(
            f"Right by the {judge}",
            [
                {
                    "generations": count,
                    **{
                        mode.value: accuracy(growths, judge, count)
                        for mode, growths in trees.items()
                    },
                }
                for count in range(1, generations + 1)
            ],
        )
        for judge in JUDGES
    ]


def growth_plots(name: str, trees: Trees, generations: int) -> list[Plot]:
    """The same as plots."""
    plots = []
    for judge in JUDGES:
        lines = []
        for mode, growths in trees.items():
            found = [
                (count, accuracy(growths, judge, count)) for count in range(1, generations + 1)
            ]
            points = [point(count, figure) for count, figure in found if figure is not None]
            lines.append(Line(mode.value, points))
        short = "own" if judge == OWN else "checkers"
        plots.append(Plot(f"{name}-{short}", f"Right by the {judge}", "generations", "", lines))
    return plots


def _p(ours: Sequence[Growth], theirs: Sequence[Growth], same: bool) -> float | None:
    if same or not ours:
        return None
    mine, others = (
        [float(right(growth.best(), OUTSIDE)) for growth in growths] for growths in (ours, theirs)
    )
    return compare(OUTSIDE, mine, others).p

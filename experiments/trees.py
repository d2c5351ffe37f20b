"""Search trees by number of generations: refinement (Tables 3 and 10), scaling (Figure 5).

A tree is evaluated as if its search had ended after k generations: its answer is then the best of
the first k nodes. Nodes are numbered in the order in which they were requested, so a node's id is
the number of generations up to it. No search is run twice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.domain.search import Mode
from app.evaluation.base import Metric, Score
from app.evaluation.statistics import compare, measure
from experiments.context import Row
from experiments.report import Cell, Line, Plot, Table, point

OWN, CHECKERS = "own refiner", "checkers"
JUDGES = {OWN: "own", CHECKERS: "checkers"}
"""The judges by which an answer counts as right, and their names in files."""


@dataclass(frozen=True, slots=True)
class Node:
    """A node as its own search and the checkers judge it.

    id: the number of generations up to it; 0 is the given response.
    accepted, value, satisfied: the judgment of the search's own refiner, and the share of the
        constraints in the request that are met (1.0 without constraints).
    passed: whether it meets all constraints of the prompt and is no copy of the prompt.
    """

    id: int
    accepted: bool
    value: float
    satisfied: float
    passed: bool

    @property
    def rank(self) -> tuple[bool, float, float, int]:
        """As the search ranks its nodes (`app.domain.tree.Node.rank`)."""
        return self.accepted, self.satisfied, self.value, -self.id


@dataclass(frozen=True, slots=True)
class Tree:
    """The tree of a search. nodes: by id. tokens: all generated tokens, judgments included."""

    nodes: tuple[Node, ...]
    tokens: int

    @property
    def generations(self) -> int:
        """The number of generated nodes; a given response is not counted."""
        return sum(node.id > 0 for node in self.nodes)

    def best(self, generations: int | None = None) -> Node | None:
        """The answer after this many generations (None: at the end), if there is one."""
        seen = [one for one in self.nodes if generations is None or one.id <= generations]
        return max(seen, key=lambda node: node.rank, default=None)

    def to_values(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "Tree":
        """The inverse of `to_values`."""
        return cls(tuple(Node(**node) for node in values["nodes"]), values["tokens"])


Trees = Mapping[Mode, Sequence[Tree]]
"""The trees of each mode; trees of the same item have the same index."""


def trees_of(rows: Sequence[Row], modes: Sequence[Mode]) -> Trees:
    """The trees of the items that have a tree of every mode."""
    whole = [row for row in rows if all(mode.value in row for mode in modes)]
    return {mode: [Tree.from_values(row[mode.value]) for row in whole] for mode in modes}


def given_rejected(trees: Trees) -> Trees:
    """Only the items whose given response the search of every mode rejected.

    Votes are sampled, so a search may accept a response that was rejected before. Such a search
    has nothing to repair.
    """
    kept = [
        all(not node.accepted for tree in some for node in tree.nodes if node.id == 0)
        for some in zip(*trees.values(), strict=True)
    ]
    return {
        mode: [tree for tree, keep in zip(some, kept, strict=True) if keep]
        for mode, some in trees.items()
    }


def right(node: Node | None, judge: str) -> bool:
    """Whether the judge accepts the answer; no answer is wrong."""
    return node is not None and (node.accepted if judge == OWN else node.passed)


def accuracy(trees: Sequence[Tree], judge: str, generations: int | None = None) -> Metric | None:
    """The share of right answers after this many generations; None without trees."""
    scores: list[Score] = [
        {judge: (float(right(tree.best(generations), judge)), 1)} for tree in trees
    ]
    return measure(judge, scores)


def mode_table(title: str, trees: Trees, first: Mode) -> Table:
    """A row for each mode: right by either judge, mean cost, and p against the first mode."""
    rows: list[dict[str, Cell]] = [
        {
            "mode": mode.value,
            "items": len(some),
            f"right by the {OWN}": accuracy(some, OWN),
            f"right by the {CHECKERS}": accuracy(some, CHECKERS),
            "generations": _mean([tree.generations for tree in some]),
            "tokens": _mean([tree.tokens for tree in some]),
            f"p against {first} ({CHECKERS})": None if mode is first else _p(some, trees[first]),
        }
        for mode, some in trees.items()
    ]
    return Table(title, rows)


def accuracy_tables(trees: Trees, generations: int) -> list[Table]:
    """For each judge a table of every mode's accuracy after 1, 2, ... generations."""
    return [
        Table(
            f"Right by the {judge}",
            [
                {
                    "generations": count,
                    **{mode.value: accuracy(some, judge, count) for mode, some in trees.items()},
                }
                for count in range(1, generations + 1)
            ],
        )
        for judge in JUDGES
    ]


def accuracy_plots(name: str, trees: Trees, generations: int) -> list[Plot]:
    """The values of `accuracy_tables` as plots, one for each judge."""
    plots = []
    for judge, short in JUDGES.items():
        lines = []
        for mode, some in trees.items():
            found = [(count, accuracy(some, judge, count)) for count in range(1, generations + 1)]
            points = [point(count, metric) for count, metric in found if metric is not None]
            lines.append(Line(mode.value, points))
        plots.append(Plot(f"{name}-{short}", f"Right by the {judge}", "generations", lines))
    return plots


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers) if numbers else 0.0


def _p(ours: Sequence[Tree], theirs: Sequence[Tree]) -> float | None:
    if not ours:
        return None
    mine, others = (
        [float(right(tree.best(), CHECKERS)) for tree in some] for some in (ours, theirs)
    )
    return compare(CHECKERS, mine, others).p

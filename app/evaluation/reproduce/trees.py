"""What search trees say about how many generations are worth it.

A tree is read as if its search had ended after so many generations: then the best node so far
would have been the answer. Nodes are numbered in the order in which they were asked for, so a
node's number is how many generations it took to have it. Nothing is run again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from app.evaluation.base import Figure, Score
from app.evaluation.figures import figure

OWN, OUTSIDE = "own refiner", "checkers"
JUDGES = (OWN, OUTSIDE)


@dataclass(frozen=True, slots=True)
class Grown:
    """A node: what the search knew of it, and what the checkers say.

    id: how many generations were asked for up to it; 0 is the given response.
    accepted, value, satisfied: the judgment of the search's own refiner, and the share of the
        constraints that it was told of (1.0 where it was told of none).
    passed: whether it meets all of the prompt's constraints, and is no copy of the prompt.
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
class Growth:
    """A search's tree. tokens: generated in all, judgments included. Nodes are in their order."""

    nodes: tuple[Grown, ...]
    tokens: int

    @property
    def generations(self) -> int:
        """How many nodes it made, a given response left out."""
        return sum(node.id > 0 for node in self.nodes)

    def best(self, generations: int | None = None) -> Grown | None:
        """The answer after so many generations (None: at the end), if there was one."""
        seen = [one for one in self.nodes if generations is None or one.id <= generations]
        return max(seen, key=lambda node: node.rank, default=None)

    def to_values(self) -> dict[str, Any]:
        """As JSON-able values."""
        return asdict(self)

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> "Growth":
        """What `to_values` gave."""
        return cls(tuple(Grown(**node) for node in values["nodes"]), values["tokens"])


def right(node: Grown | None, judge: str) -> bool:
    """Whether the judge finds the answer right; no answer is wrong."""
    return node is not None and (node.accepted if judge == OWN else node.passed)


def accuracy(
    growths: Sequence[Growth], judge: str, generations: int | None = None
) -> Figure | None:
    """The share of right answers after so many generations; None without trees."""
    scores: list[Score] = [
        {judge: (float(right(growth.best(generations), judge)), 1)} for growth in growths
    ]
    return figure(judge, scores)


def mean(numbers: Sequence[float]) -> float:
    """The mean; 0 of nothing."""
    return sum(numbers) / len(numbers) if numbers else 0.0

"""How many votes are worth it: SPaR's Table 9, from one set of votes for each response.

Fewer votes are subsets of the votes that were cast, and all subsets count. So 1, 3, 5 and 7 votes
are compared on the same votes, and the figures of few votes do not hang on which were first.

Besides the share of yes, a set of votes has a mean P(yes), read after each critique; and there is
the first look, P(yes) read before any critique, which costs a single token.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from app.evaluation.base import Figure, Score
from app.evaluation.figures import figure
from app.evaluation.labelled import score
from app.evaluation.reproduce.journal import Row
from app.evaluation.reproduce.report import Cell

METRICS = ("accuracy", "f1", "ties")


@dataclass(frozen=True, slots=True)
class Ballot:
    """What a refiner made of one response.

    verdicts: a sampled yes or no for each vote. probabilities: P(yes) after each vote's critique.
    look: P(yes) before any.
    """

    verdicts: tuple[bool, ...]
    probabilities: tuple[float, ...]
    look: float


Value = Callable[[Ballot, tuple[int, ...]], float]
"""What some of a ballot's votes say of the response (0..1)."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The ballots of the response that people prefer, and of the other one."""

    better: Ballot
    worse: Ballot


def table(pairs: Sequence[Pair], counts: Sequence[int], gate: float) -> list[dict[str, Cell]]:
    """A row for each number of votes and for the first look; accepted means above the gate."""
    rows = []
    for count in counts:
        rows.append(_row("votes: share of yes", count, _scores(pairs, count, gate, _share)))
        rows.append(_row("votes: mean P(yes)", count, _scores(pairs, count, gate, _mean)))
    looked = [_score([(one.better.look, one.worse.look)], gate) for one in pairs]
    return [*rows, _row("first look: P(yes)", 0, looked)]


def curve(pairs: Sequence[Pair], counts: Sequence[int], gate: float) -> list[tuple[int, Figure]]:
    """The accuracy of the share of yes by the number of votes."""
    found = [(count, figure("accuracy", _scores(pairs, count, gate, _share))) for count in counts]
    return [(count, one) for count, one in found if one is not None]


def pair_from(row: Row) -> Pair:
    """The pair that was kept of an item."""
    return Pair(_ballot(row["better"]), _ballot(row["worse"]))


def _ballot(values: Row) -> Ballot:
    return Ballot(tuple(values["verdicts"]), tuple(values["probabilities"]), values["look"])


def _share(ballot: Ballot, places: tuple[int, ...]) -> float:
    return sum(ballot.verdicts[place] for place in places) / len(places)


def _mean(ballot: Ballot, places: tuple[int, ...]) -> float:
    return sum(ballot.probabilities[place] for place in places) / len(places)


def _scores(pairs: Sequence[Pair], count: int, gate: float, value: Value) -> list[Score]:
    cast = min((len(one.better.verdicts) for one in pairs), default=0)
    drawn = list(combinations(range(cast), count))
    return [
        _score([(value(one.better, some), value(one.worse, some)) for some in drawn], gate)
        for one in pairs
    ]


def _score(values: Sequence[tuple[float, float]], gate: float) -> Score:
    """The metrics of one pair over all its subsets of votes; F1 as `llmbar` has it."""
    hits = sum(better > gate for better, _ in values)
    alarms = sum(worse > gate for _, worse in values)
    return {
        "accuracy": (sum(score(*both) for both in values), len(values)),
        "f1": (2.0 * hits, hits + alarms + len(values)),
        "ties": (float(sum(better == worse for better, worse in values)), len(values)),
    }


def _row(judge: str, count: int, scores: Sequence[Score]) -> dict[str, Cell]:
    figures: dict[str, Cell] = {metric: figure(metric, scores) for metric in METRICS}
    return {"judge": judge, "votes": count, "pairs": len(scores), **figures}

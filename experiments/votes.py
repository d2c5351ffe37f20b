"""How many votes a judgment needs: SPaR's Table 9, from one set of votes for each response.

Smaller numbers of votes are evaluated on all subsets of the votes that were cast. So 1, 3, 5 and 7
votes are compared on the same votes, and no result depends on the order of the votes.

Besides the share of yes verdicts, a set of votes has a mean P(yes), read after each critique. The
quick verdict is P(yes) read before any critique, which costs a single token.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations

from pydantic import BaseModel

from app.domain.search import derive_seed
from app.evaluation.asking import message_values
from app.evaluation.base import Item, Metric, Score
from app.evaluation.http import Server
from app.evaluation.llmbar import preference_score
from app.evaluation.statistics import measure
from experiments.context import Row
from experiments.report import Cell

METRICS = ("accuracy", "f1", "ties")


class _Vote(BaseModel):
    verdict: bool
    probability: float


class _Judgment(BaseModel):
    votes: list[_Vote]
    quick_verdict: float | None


@dataclass(frozen=True, slots=True)
class Poll:
    """Has a version of the refiner judge both responses of labelled pairs with `votes` votes.

    accept_threshold: the server accepts a response when its value is above this (0..1).
    """

    server: Server
    refiner: int
    votes: int
    accept_threshold: float
    seed: int

    async def ask(self, item: Item) -> Row:
        """The ballots of both responses. Raises what `Server.post` raises."""
        assert item.pair is not None, "an item to vote on has two responses"
        assert item.better is not None, "an item to vote on has a label"
        better, worse = item.pair[item.better], item.pair[1 - item.better]
        return {
            "better": await self._ballot(item, better),
            "worse": await self._ballot(item, worse),
        }

    async def _ballot(self, item: Item, response: str) -> Row:
        votes = (await self._judge(item, response, self.votes, quick=False)).votes
        # Where the quick verdict is not clear the server casts one more vote; it is not used.
        quick = (await self._judge(item, response, 1, quick=True)).quick_verdict
        return {
            "verdicts": [vote.verdict for vote in votes],
            "probabilities": [vote.probability for vote in votes],
            "quick": quick or 0.0,
        }

    async def _judge(self, item: Item, response: str, votes: int, *, quick: bool) -> _Judgment:
        body = {
            "messages": message_values(item.prompt.messages),
            "response": response,
            "search": {
                "votes": votes,
                "accept_threshold": self.accept_threshold,
                "early_stop": False,
                "quick_verdict": quick,
            },
            "checkpoint": {"refiner": self.refiner},
            "seed": derive_seed(self.seed, item.key, "votes"),
        }
        return await self.server.post(_Judgment, "/judge", body)


@dataclass(frozen=True, slots=True)
class Ballot:
    """The votes of a refiner on one response.

    verdicts: yes or no of each vote. probabilities: P(yes) after each vote's critique. quick:
    P(yes) before any critique.
    """

    verdicts: tuple[bool, ...]
    probabilities: tuple[float, ...]
    quick: float


Value = Callable[[Ballot, tuple[int, ...]], float]
"""The value of a response (0..1) by the votes at some indices of a ballot."""


@dataclass(frozen=True, slots=True)
class Pair:
    """The ballots of the response that is labelled as better, and of the other one."""

    better: Ballot
    worse: Ballot

    @classmethod
    def from_row(cls, row: Row) -> "Pair":
        """The pair in a row of `Poll.ask`."""
        return cls(_ballot(row["better"]), _ballot(row["worse"]))


def table(
    pairs: Sequence[Pair], counts: Sequence[int], accept_threshold: float
) -> list[dict[str, Cell]]:
    """Two rows for each number of votes and one for the quick verdict.

    accept_threshold: a response counts as accepted when its value is above this.
    """
    rows = []
    for count in counts:
        rows.append(
            _row("votes: share of yes", count, _scores(pairs, count, accept_threshold, _share))
        )
        rows.append(
            _row("votes: mean P(yes)", count, _scores(pairs, count, accept_threshold, _mean))
        )
    quick = [_score([(one.better.quick, one.worse.quick)], accept_threshold) for one in pairs]
    return [*rows, _row("quick verdict: P(yes)", 0, quick)]


def curve(
    pairs: Sequence[Pair], counts: Sequence[int], accept_threshold: float
) -> list[tuple[int, Metric]]:
    """The accuracy of the share of yes by the number of votes."""
    found = [
        (count, measure("accuracy", _scores(pairs, count, accept_threshold, _share)))
        for count in counts
    ]
    return [(count, one) for count, one in found if one is not None]


def _ballot(values: Row) -> Ballot:
    return Ballot(tuple(values["verdicts"]), tuple(values["probabilities"]), values["quick"])


def _share(ballot: Ballot, indices: tuple[int, ...]) -> float:
    return sum(ballot.verdicts[index] for index in indices) / len(indices)


def _mean(ballot: Ballot, indices: tuple[int, ...]) -> float:
    return sum(ballot.probabilities[index] for index in indices) / len(indices)


def _scores(
    pairs: Sequence[Pair], count: int, accept_threshold: float, value: Value
) -> list[Score]:
    cast = min((len(one.better.verdicts) for one in pairs), default=0)
    subsets = list(combinations(range(cast), count))
    return [
        _score(
            [(value(one.better, some), value(one.worse, some)) for some in subsets],
            accept_threshold,
        )
        for one in pairs
    ]


def _score(values: Sequence[tuple[float, float]], accept_threshold: float) -> Score:
    """The metrics of one pair over all its subsets of votes; F1 as `llmbar` computes it."""
    hits = sum(better > accept_threshold for better, _ in values)
    false_alarms = sum(worse > accept_threshold for _, worse in values)
    return {
        "accuracy": (sum(preference_score(*both) for both in values), len(values)),
        "f1": (2.0 * hits, hits + false_alarms + len(values)),
        "ties": (float(sum(better == worse for better, worse in values)), len(values)),
    }


def _row(judge: str, count: int, scores: Sequence[Score]) -> dict[str, Cell]:
    metrics: dict[str, Cell] = {name: measure(name, scores) for name in METRICS}
    return {"judge": judge, "votes": count, "pairs": len(scores), **metrics}

"""Smaller numbers of votes, as subsets of the votes that were cast."""

from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.evaluation.base import Metric
from experiments.report import Cell
from experiments.votes import Ballot, Pair, curve, table

CAST = 7
GATE = 0.5


def ballot(yes: int, quick: float = 0.5) -> Ballot:
    """A ballot with `yes` of seven votes and the same P(yes)."""
    verdicts = tuple(place < yes for place in range(CAST))
    return Ballot(verdicts, tuple(map(float, verdicts)), quick)


def cell(rows: list[dict[str, Cell]], judge: str, votes: int, name: str) -> float:
    found = next(row[name] for row in rows if (row["judge"], row["votes"]) == (judge, votes))
    assert isinstance(found, Metric)
    return found.value


@given(st.integers(0, CAST), st.integers(0, CAST))
def test_one_vote_is_right_as_often_as_two_drawn_votes_are(better: int, worse: int) -> None:
    # The same place is drawn for both responses, so only one of the two says yes there.
    rows = table([Pair(ballot(better), ballot(worse))], [1], GATE)
    expected = 0.5 + (better - worse) / CAST / 2
    assert cell(rows, "votes: share of yes", 1, "accuracy") == pytest.approx(expected)


@given(st.integers(0, CAST), st.integers(0, CAST))
def test_all_votes_have_one_subset(better: int, worse: int) -> None:
    rows = table([Pair(ballot(better), ballot(worse))], [CAST], GATE)
    expected = 0.5 if better == worse else float(better > worse)
    assert cell(rows, "votes: share of yes", CAST, "accuracy") == expected
    assert cell(rows, "votes: share of yes", CAST, "ties") == float(better == worse)


@given(st.integers(0, CAST))
def test_acceptance_by_three_votes_is_the_chance_to_draw_two_yes(yes: int) -> None:
    rows = table([Pair(ballot(yes), ballot(0))], [3], GATE)
    drawn = comb(CAST, 3)
    hits = sum(comb(yes, got) * comb(CAST - yes, 3 - got) for got in (2, 3)) / drawn
    # No false alarms: F1 is 2 hits / (hits + 1).
    expected = 2 * hits / (hits + 1)
    assert cell(rows, "votes: share of yes", 3, "f1") == pytest.approx(expected)


def test_the_quick_verdict_is_judged_by_itself() -> None:
    pairs = [Pair(ballot(0, quick=0.9), ballot(7, quick=0.2))]
    rows = table(pairs, [1], GATE)
    assert cell(rows, "quick verdict: P(yes)", 0, "accuracy") == 1.0
    assert cell(rows, "quick verdict: P(yes)", 0, "f1") == 1.0
    assert cell(rows, "votes: mean P(yes)", 1, "accuracy") == 0.0


def test_the_curve_has_a_point_for_each_number_of_votes() -> None:
    found = curve([Pair(ballot(5), ballot(2))], [1, 3, 7], GATE)
    assert [count for count, _ in found] == [1, 3, 7]
    values = [metric.value for _, metric in found]
    assert values == sorted(values)
    assert values[-1] == 1.0


def test_ballots_round_trip_as_values() -> None:
    kept = {"verdicts": [True, False], "probabilities": [0.75, 0.25], "quick": 0.5}
    read = Pair.from_row({"better": kept, "worse": kept})
    assert read.better == Ballot((True, False), (0.75, 0.25), 0.5)

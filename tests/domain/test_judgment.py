from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.judgment import Judgment, QuickVerdict
from tests.helpers.judgments import judged, judgments, result, vote
from tests.helpers.properties import calm

counts = st.integers(0, 5)


@calm
@given(counts, counts)
def test_the_value_is_the_share_of_yes_votes(yes: int, no: int) -> None:
    expected = yes / (yes + no) if yes + no else None
    assert judged(yes, no).value == expected


@calm
@given(counts, counts)
def test_satisfied_is_the_share_of_constraints_met(met: int, failed: int) -> None:
    expected = met / (met + failed) if met + failed else 1.0
    assert judged(1, met=met, failed=failed).satisfied == expected


@pytest.mark.parametrize(
    ("judgment", "accepted"),
    [
        (judged(3, 2), True),
        (judged(2, 3), False),
        (judged(1, 1), False),
        (judged(3, 2, accept_threshold=0.6), False),
        (judged(4, 1, accept_threshold=0.6), True),
        (judged(5, met=2), True),
        (judged(5, met=2, failed=1), False),
        (judged(0, 1, met=2), False),
        (judged(0, met=1), True),
        (judged(0, failed=1), False),
        (judged(5, accept_threshold=1.0), False),
        (judged(0, 5, accept_threshold=0.0), False),
    ],
)
def test_accepted_is_a_value_above_the_gate_and_every_constraint_met(
    judgment: Judgment, accepted: bool
) -> None:
    assert judgment.accepted is accepted


def test_a_rejection_is_explained_by_the_first_vote_against() -> None:
    judgment = Judgment((vote(True, "good"), vote(False, "bad"), vote(False, "worse")), (), 0.5)
    assert judgment.explanation == judgment.critique == "bad"


def test_an_acceptance_is_explained_by_the_first_vote_for() -> None:
    judgment = Judgment((vote(False, "bad"), vote(True, "good"), vote(True, "better")), (), 0.5)
    assert judgment.explanation == "good"


def test_a_rejection_without_a_vote_against_is_explained_by_what_there_is() -> None:
    judgment = Judgment((vote(True, "good"),), (result(False, "too long"),), 0.5)
    assert judgment.explanation == "good"


def test_the_critique_starts_with_the_failed_constraints() -> None:
    results = (result(False, "too long"), result(True, "no comma"), result(False, "no title"))
    judgment = Judgment((vote(False, "It is dull."),), results, 0.5)
    assert judgment.failures == ("too long", "no title")
    assert judgment.critique == "- too long\n- no title\nIt is dull."


def test_the_critique_without_votes_is_the_failed_constraints() -> None:
    assert Judgment((), (result(False, "too long"),), 0.5).critique == "- too long"
    assert Judgment((), (), 0.5).critique == ""
    assert Judgment((), (), 0.5).explanation == ""


@calm
@given(judgments)
def test_values_are_shares(judgment: Judgment) -> None:
    assert judgment.value is None or 0 <= judgment.value <= 1
    assert 0 <= judgment.satisfied <= 1


@pytest.mark.parametrize("verdict", [True, False])
def test_a_quick_verdict_that_decided_counts_whatever_the_threshold(verdict: bool) -> None:
    judgment = Judgment((), (result(True),), 0.5, QuickVerdict(0.5, verdict))
    assert judgment.accepted is verdict
    assert judgment.value == 0.5
    assert not replace(judgment, constraints=(result(False),)).accepted


def test_votes_count_where_a_quick_verdict_was_not_clear() -> None:
    judgment = Judgment((vote(True), vote(False), vote(True)), (), 0.5, QuickVerdict(0.2, None))
    assert judgment.value == 2 / 3
    assert judgment.accepted


def test_a_late_critique_explains_and_decides_nothing() -> None:
    judgment = Judgment((), (result(False, "too long"),), 0.5, late_critique="It is dull.")
    assert judgment.explanation == "It is dull."
    assert judgment.critique == "- too long\nIt is dull."
    assert not judgment.accepted

"""The figures of the reports, against hand-computed ones."""

import pytest

from app.domain.prompt import Prompt
from worker.context import Record
from worker.stages.evaluate import actor_report, refiner_report
from worker.stages.prompts import HeldOutPrompt

PROMPTS = [HeldOutPrompt(Prompt.from_text(f"Question {n}"), held_out=n == 2) for n in range(3)]


def answered(met: int, asked: int, passed: bool | None = None) -> Record:
    return {"text": "an answer", "met": met, "asked": asked, "passed": passed}


def said(verdict: bool, satisfied: bool) -> Record:
    return {"verdict": verdict, "satisfied": satisfied}


def test_the_actor_is_measured_by_the_constraints_it_meets() -> None:
    candidate = [answered(2, 2, True), answered(1, 1), answered(1, 3, False)]
    incumbent = [answered(1, 2, False), answered(1, 1), answered(0, 3, False)]
    report = actor_report(candidate, incumbent, PROMPTS)
    assert report.primary.candidate == pytest.approx(4 / 6)
    assert report.primary.incumbent == pytest.approx(2 / 6)
    others = {one.name: (one.candidate, one.incumbent, one.n) for one in report.others}
    expected = {
        "prompts": (2 / 3, 1 / 3, 3),
        "constraints, seen types": (1, 2 / 3, 2),
        "constraints, held-out types": (1 / 3, 0, 1),
        "judge's pass rate": (1 / 2, 0, 2),
    }
    assert others.keys() == expected.keys()
    for name, figures in expected.items():
        assert others[name] == pytest.approx(figures)


def test_a_refiner_that_always_says_no_is_right_half_of_the_time() -> None:
    truth = [True, False, False, False]
    always_no = [said(False, met) for met in truth]
    knowing = [said(met, met) for met in truth]
    report = refiner_report(knowing, always_no)
    assert report.primary.candidate == pytest.approx(1)
    assert report.primary.incumbent == pytest.approx(1 / 2)
    (plain,) = report.others
    assert plain.incumbent == pytest.approx(3 / 4)


def test_answers_of_one_outcome_have_equal_weights() -> None:
    side = [said(True, True), said(False, True)]
    report = refiner_report(side, side)
    assert report.primary.candidate == pytest.approx(1 / 2)
    assert report.primary.difference == 0


def test_labelled_pairs_are_measured_where_there_are_any() -> None:
    side = [said(True, True), said(False, True)]
    better, worse = [{"score": 1.0}, {"score": 0.5}], [{"score": 0.5}, {"score": 0.0}]
    pairs = refiner_report(side, side, better, worse).others[-1]
    assert (pairs.name, pairs.candidate, pairs.incumbent) == ("labelled pairs", 0.75, 0.25)

"""Two runs are compared on the rows that both have, with warnings about other differences."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.domain.checkpoint import Versions
from app.domain.search import Mode
from app.errors import InvalidRequest
from app.evaluation.compare_runs import EvaluationRun, compare_runs
from app.evaluation.statistics import compare, mcnemar
from tests.helpers.evaluating import plan_of, row_of


def run_of(scores: Sequence[Mapping[str, tuple[float, int]]], name: str = "run") -> EvaluationRun:
    rows = [row_of(str(at), at, score=score) for at, score in enumerate(scores)]
    return EvaluationRun(name, plan_of(), rows, len(rows))


def yes_or_no(answers: str) -> EvaluationRun:
    """A run in which a `1` stands for a prompt that was followed."""
    return run_of([{"prompts": (float(answer), 1)} for answer in answers])


def test_the_second_is_compared_with_the_first_by_mcnemars_test() -> None:
    found = compare_runs(yes_or_no("000011"), yes_or_no("111101"), primary="prompts")
    (tested,) = found.metrics
    assert (tested.comparison.incumbent, tested.comparison.candidate) == (2 / 6, 5 / 6)
    assert tested.comparison.difference == pytest.approx(0.5)
    assert tested.exact
    assert tested.p == mcnemar(4, 1)


def test_only_rows_of_both_are_compared() -> None:
    first, second = yes_or_no("0000"), yes_or_no("111111")
    found = compare_runs(first, replace(second, rows=second.rows[2:]), primary="prompts")
    assert (found.rows, found.only_first, found.only_second) == (2, 2, 2)
    assert found.metrics[0].comparison.difference == 1.0
    assert "run has only 4 of its 6 rows" in found.warnings


def test_clusters_are_tested_by_resampling_whole_rows() -> None:
    before = [{"instructions": (1.0, 3)} for _ in range(20)]
    after = [{"instructions": (2.0, 3)} for _ in range(20)]
    (tested,) = compare_runs(run_of(before), run_of(after), primary="instructions").metrics
    assert not tested.exact
    assert tested.p <= 0.001
    assert tested.comparison.low == pytest.approx(1 / 3)


def test_equal_runs_have_p_one() -> None:
    same = run_of([{"instructions": (1.0, 3)}] * 5)
    (tested,) = compare_runs(same, same, primary="instructions").metrics
    assert (tested.comparison.difference, tested.p) == (0.0, 1.0)


def test_primary_metric_is_first_and_subsets_are_on_request() -> None:
    run = run_of([{"loose": (1.0, 1), "strict": (1.0, 1), "strict/length": (1.0, 1)}])
    names = [tested.comparison.name for tested in compare_runs(run, run, primary="strict").metrics]
    assert names == ["strict", "loose"]
    found = compare_runs(run, run, primary="strict", metric="strict/length")
    assert [tested.comparison.name for tested in found.metrics] == ["strict/length"]


def test_a_ratio_whose_units_depend_on_the_answer_is_compared() -> None:
    before = [{"f1": (0.0, 1)}, {"f1": (2.0, 2)}, {"f1": (2.0, 3)}]
    after = [{"f1": (2.0, 2)}, {"f1": (2.0, 2)}, {"f1": (0.0, 2)}]
    (tested,) = compare_runs(run_of(before), run_of(after), primary="f1").metrics
    assert (tested.comparison.incumbent, tested.comparison.candidate) == (4 / 6, 4 / 6)
    assert tested.comparison.low < 0 < tested.comparison.high


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=12))
def test_with_the_same_units_it_agrees_with_the_paired_comparison(
    sums: list[tuple[int, int]],
) -> None:
    before, after = ([float(score) for score in side] for side in zip(*sums, strict=True))
    units = [3] * len(sums)
    assert compare("m", after, before, units, units) == compare("m", after, before, units)


def test_a_row_without_the_metric_is_left_out_of_it() -> None:
    first = run_of([{"ssr": (1.0, 1)}, {}])
    second = run_of([{"ssr": (0.0, 1)}, {"ssr": (1.0, 1)}])
    (tested,) = compare_runs(first, second, primary="ssr").metrics
    assert tested.comparison.n == 1


def test_unexpected_plan_differences_are_warnings() -> None:
    first, second = yes_or_no("01"), yes_or_no("11")
    search = {**first.plan.options["search"], "votes": 7}
    plan = plan_of(
        Mode.BFS,
        versions=Versions(3, 0),
        digest="e" * 64,
        options={**first.plan.options, "search": search},
    )
    found = compare_runs(first, replace(second, plan=plan), primary="prompts")
    assert {item.name: item.expected for item in found.differences} == {
        "file": False,
        "mode": True,
        "actor": True,
        "search.votes": False,
    }
    assert found.warnings == (
        "file differs: dddddddddddd and eeeeeeeeeeee",
        "search.votes differs: 1 and 7",
    )


def test_failed_rows_are_warned_of() -> None:
    run = yes_or_no("11")
    failed = replace(run, rows=[run.rows[0], replace(run.rows[1], outcome=None, error="long")])
    warnings = compare_runs(run, failed, primary="prompts").warnings
    assert warnings == ("run could not answer 1 of its rows; these count as wrong",)


def test_incomparable_runs_are_refused() -> None:
    run = yes_or_no("01")
    with pytest.raises(InvalidRequest, match="cannot be compared"):
        compare_runs(run, replace(run, plan=plan_of(suite="llmbar")), primary="prompts")
    with pytest.raises(InvalidRequest, match="no common metric 'speed'; they have prompts"):
        compare_runs(run, run, primary="prompts", metric="speed")
    with pytest.raises(InvalidRequest, match="no row in common"):
        compare_runs(run, replace(run, rows=[]), primary="prompts")

"""The written rule of promotion."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.checkpoint import Role
from app.domain.iteration import Policy
from app.evaluation.statistics import Comparison, RoleReport, compare
from tests.helpers.properties import calm
from worker.gate import Decision, GateRule, decide

ACTOR = Role.ACTOR
RULE = GateRule()
PAIRS = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=20)
RULES = st.builds(
    GateRule,
    min_gain=st.sampled_from([0.0, 0.01, 0.1]),
    confidence=st.sampled_from([0.0, 0.5, 0.8, 0.95, 1.0]),
    margin=st.sampled_from([0.0, 0.03]),
)


def metric(difference: float, *, sure: float = 0.9, name: str = "accuracy") -> Comparison:
    """A metric with this difference, whose sign is this sure."""
    gained, lost = (sure, 1 - sure) if difference > 0 else (1 - sure, sure)
    return Comparison(
        name, 0.5 + difference, 0.5, difference, difference - 0.1, difference + 0.1, gained, lost,
        p=None, n=100,
    )  # fmt: skip


def gate(primary: Comparison, *others: Comparison, rule: GateRule = RULE) -> Decision:
    """What the gate says to an actor with these metrics."""
    return decide({ACTOR: RoleReport(ACTOR, primary, others, 100)}, rule, Policy.GATE)


def measured(pairs: list[tuple[int, int]]) -> Comparison:
    """The comparison of (candidate, incumbent) scores."""
    ours, theirs = map(list, zip(*pairs, strict=True))
    return compare("accuracy", ours, theirs, resamples=200)


@pytest.mark.parametrize(
    ("primary", "others", "promoted", "words"),
    [
        (metric(0.05), [], True, "better: accuracy 0.500 -> 0.550"),
        (metric(0.01), [metric(0.0)], True, "90% confidence"),
        (metric(0.009), [], False, "not better by at least 0.01"),
        (metric(0.0), [], False, "not better"),
        (metric(-0.02), [], False, "not better"),
        (metric(-0.05), [], False, "worse by more than 0.03"),
        (metric(0.05, sure=0.79), [], False, "only 79% confidence, 80% is required"),
        (metric(0.05, sure=0.8), [], True, "better"),
        (metric(0.05), [metric(-0.03, name="held out")], True, "better"),
        (metric(0.05), [metric(-0.04, name="held out")], False, "another metric is worse"),
        (metric(0.05), [metric(-0.04, sure=0.7)], True, "better"),
        (metric(0.05), [metric(0.2), metric(-0.04, name="held out")], False, "held out 0.500"),
    ],
)
def test_the_rule(
    primary: Comparison, others: list[Comparison], promoted: bool, words: str
) -> None:
    decision = gate(primary, *others)
    assert (ACTOR in decision.promoted) is promoted
    assert words in decision.reasons[ACTOR]


def test_every_threshold_of_the_rule_matters() -> None:
    held_out = metric(-0.04)
    assert not gate(metric(0.05), held_out).promoted
    assert gate(metric(0.05), held_out, rule=replace(RULE, margin=0.05)).promoted
    assert not gate(metric(0.05), rule=replace(RULE, min_gain=0.06)).promoted
    assert not gate(metric(0.05), rule=replace(RULE, confidence=0.95)).promoted


def test_each_role_is_decided_for_itself() -> None:
    reports = {
        Role.ACTOR: RoleReport(Role.ACTOR, metric(-0.2), (), 100),
        Role.REFINER: RoleReport(Role.REFINER, metric(0.2), (), 100),
    }
    decision = decide(reports, RULE, Policy.GATE)
    assert decision.promoted == {Role.REFINER}
    assert "worse" in decision.reasons[Role.ACTOR]


@pytest.mark.parametrize("policy", list(Policy))
def test_a_role_without_a_report_stays_as_it_is(policy: Policy) -> None:
    decision = decide({}, RULE, policy)
    assert decision.promoted == frozenset()
    assert decision.reasons == dict.fromkeys(Role, "nothing was trained")


def test_two_of_few_prompts_won_are_enough_and_one_is_not() -> None:
    assert not gate(measured([(1, 0), *[(1, 1)] * 10])).promoted
    assert gate(measured([(1, 0), (1, 0), *[(1, 1)] * 10])).promoted


@calm
@given(st.lists(st.integers(0, 1), min_size=1, max_size=20), RULES)
def test_an_identical_candidate_is_never_promoted(scores: list[int], rule: GateRule) -> None:
    same = measured([(score, score) for score in scores])
    assert not gate(same, same, rule=rule).promoted


@calm
@given(PAIRS, PAIRS, RULES)
def test_policies_always_and_never(
    pairs: list[tuple[int, int]], others: list[tuple[int, int]], rule: GateRule
) -> None:
    reports = {ACTOR: RoleReport(ACTOR, measured(pairs), (measured(others),), len(pairs))}
    assert decide(reports, rule, Policy.ALWAYS).promoted == {ACTOR}
    assert decide(reports, rule, Policy.NEVER).promoted == frozenset()


@calm
@given(PAIRS, PAIRS, RULES, st.data())
def test_winning_one_more_item_never_costs_the_promotion(
    pairs: list[tuple[int, int]], others: list[tuple[int, int]], rule: GateRule, data: st.DataObject
) -> None:
    changed = data.draw(st.integers(0, len(pairs) - 1))
    improved = [(1, pair[1]) if item == changed else pair for item, pair in enumerate(pairs)]
    before, after = (gate(measured(p), measured(others), rule=rule) for p in (pairs, improved))
    assert before.promoted <= after.promoted


@calm
@given(PAIRS, RULES)
def test_the_same_report_gets_the_same_decision(
    pairs: list[tuple[int, int]], rule: GateRule
) -> None:
    assert gate(measured(pairs), rule=rule) == gate(measured(pairs), rule=rule)


@pytest.mark.parametrize(
    ("policy", "promoted"), [(Policy.ALWAYS, True), (Policy.GATE, False), (Policy.NEVER, False)]
)
def test_unmeasured_candidate_is_promoted_only_by_policy_always(
    policy: Policy, promoted: bool
) -> None:
    decision = decide({}, GateRule(), policy, unmeasured={Role.ACTOR})
    assert decision.promoted == ({Role.ACTOR} if promoted else set())
    assert "not measured" in decision.reasons[Role.ACTOR]

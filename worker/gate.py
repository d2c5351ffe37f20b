"""The rule by which a candidate checkpoint is promoted.

In plain words: a role's candidate takes over when its primary metric is better than the
incumbent's by at least `min_gain`, when that gain is real with at least `confidence`, and when
no other metric is worse by more than `margin`, believed with the same confidence. Each role is
decided for itself: one may be promoted while the other is rejected.

Confidence is one-sided and comes from the paired bootstrap: the share of resamples in which the
candidate is better (or worse). The default of 0.8 is a trade-off. Held-out sets are small here,
so the usual 0.95 would reject nearly every real gain of a few points, while 0.8 lets about one
of five candidates through that are as good as the incumbent; `min_gain` takes out those whose
gain would not matter. With few prompts the rule needs at least two of them won: a single
one is missing from about a third of the resamples. Losses need the same evidence, or the noise
of a small secondary metric would reject what is good.

SPaR (arXiv 2412.11605) has no such gate: each of its iterations simply goes on with what was
trained.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from app.domain.checkpoint import Role
from app.domain.iteration import Policy
from app.evaluation.statistics import Comparison, RoleReport


@dataclass(frozen=True, slots=True)
class GateRule:
    """The rule's numbers, in the metrics' unit (shares, 0..1).

    min_gain: least gain of the primary metric; not even 0 lets an equal candidate through.
    confidence: how sure a gain, and a loss, must be (0..1).
    margin: how much worse any other metric may be.
    """

    min_gain: float = 0.01
    confidence: float = 0.8
    margin: float = 0.03


@dataclass(frozen=True, slots=True)
class Decision:
    """Which roles' candidates take over, and for every role why or why not."""

    promoted: frozenset[Role]
    reasons: Mapping[Role, str]


def decide(
    reports: Mapping[Role, RoleReport],
    rule: GateRule,
    policy: Policy,
    unmeasured: Collection[Role] = (),
) -> Decision:
    """Decide every role from its candidate's report; a role without a report stays as it is.

    `unmeasured` roles have a candidate that could not be measured: no rule promotes those.
    """
    outcomes = {
        role: _decide_unmeasured(policy)
        if role in unmeasured
        else _decide(reports.get(role), rule, policy)
        for role in Role
    }
    return Decision(
        promoted=frozenset(role for role, (promoted, _) in outcomes.items() if promoted),
        reasons={role: reason for role, (_, reason) in outcomes.items()},
    )


def _decide_unmeasured(policy: Policy) -> tuple[bool, str]:
    if policy is Policy.ALWAYS:
        return True, "promoted in any case, as asked; it was not measured"
    return False, (
        "not measured: an engine holds one set of full weights, so a full checkpoint cannot answer"
        " beside its incumbent. Promote it by hand, or with the policy `always`"
    )


def _decide(report: RoleReport | None, rule: GateRule, policy: Policy) -> tuple[bool, str]:
    """Whether a candidate is promoted, and why."""
    if report is None:
        return False, "nothing was trained"
    primary = _words(report.primary)
    if policy is Policy.ALWAYS:
        return True, f"promoted in any case, as asked: {primary}"
    if policy is Policy.NEVER:
        return False, f"kept out in any case, as asked: {primary}"
    objection = _objection(report, rule)
    if objection is not None:
        return False, objection
    return True, f"better: {primary}, a gain with {report.primary.gained:.0%} confidence"


def _objection(report: RoleReport, rule: GateRule) -> str | None:
    """What speaks against a candidate by the rule; None when nothing does."""
    primary = report.primary
    if _is_worse(primary, rule):
        return f"worse by more than {rule.margin:g}: {_words(primary)}"
    if primary.difference <= 0 or primary.difference < rule.min_gain:
        return f"not better by at least {rule.min_gain:g}: {_words(primary)}"
    if primary.gained < rule.confidence:
        return (
            f"the gain has only {primary.gained:.0%} confidence, {rule.confidence:.0%} is asked"
            f" for: {_words(primary)}"
        )
    losses = [_words(metric) for metric in report.others if _is_worse(metric, rule)]
    if losses:
        return f"worse elsewhere by more than {rule.margin:g}: {'; '.join(losses)}"
    return None


def _is_worse(metric: Comparison, rule: GateRule) -> bool:
    return metric.difference < -rule.margin and metric.lost >= rule.confidence


def _words(metric: Comparison) -> str:
    """Such as `strict accuracy 0.300 -> 0.350 (+0.050, 95 % -0.010 to +0.110, n=200)`."""
    return (
        f"{metric.name} {metric.incumbent:.3f} -> {metric.candidate:.3f}"
        f" ({metric.difference:+.3f}, 95 % {metric.low:+.3f} to {metric.high:+.3f}, n={metric.n})"
    )

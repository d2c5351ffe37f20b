"""The rule that decides whether a candidate checkpoint is promoted.

A role's candidate is promoted when its primary metric exceeds the incumbent's by at least
`min_gain`, the gain has at least `confidence`, and no other metric is worse by more than `margin`
with that confidence. Each role is decided independently.

Confidence is one-sided, from the paired bootstrap: the share of resamples in which the candidate
is better (or worse). The default of 0.8 is a trade-off: held-out sets are small, so 0.95 would
reject nearly every real gain of a few points, while 0.8 promotes about one of five candidates that
are only as good as the incumbent; `min_gain` rejects those whose gain is negligible. A gain on a
single prompt is not enough, because about a third of the resamples do not contain it. Losses need
the same evidence, or the noise of a small secondary metric would reject good candidates.

SPaR (arXiv 2412.11605) has no gate: each iteration continues with the trained model.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from app.domain.checkpoint import Role
from app.domain.iteration import Policy
from app.evaluation.statistics import Comparison, RoleReport


@dataclass(frozen=True, slots=True)
class GateRule:
    """The rule's thresholds, in the metrics' unit (shares, 0..1).

    min_gain: least gain of the primary metric; an equal candidate is rejected even at 0.
    confidence: least share of bootstrap resamples that show a gain, or a loss.
    margin: greatest accepted loss of any other metric.
    """

    min_gain: float = 0.01
    confidence: float = 0.8
    margin: float = 0.03


@dataclass(frozen=True, slots=True)
class Decision:
    """The roles whose candidates are promoted, and the reason for every role."""

    promoted: frozenset[Role]
    reasons: Mapping[Role, str]


def decide(
    reports: Mapping[Role, RoleReport],
    rule: GateRule,
    policy: Policy,
    unmeasured: Collection[Role] = (),
) -> Decision:
    """Decide every role from its candidate's report; a role without a report is not promoted.

    The candidates of `unmeasured` roles could not be evaluated: the rule never promotes those.
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
        return True, "promoted by the policy `always`; it was not measured"
    return False, (
        "not measured: an engine holds one set of full weights, so a full checkpoint cannot be"
        " served beside its incumbent. Promote it by hand, or with the policy `always`"
    )


def _decide(report: RoleReport | None, rule: GateRule, policy: Policy) -> tuple[bool, str]:
    """Whether a candidate is promoted, and why."""
    if report is None:
        return False, "nothing was trained"
    primary = _words(report.primary)
    if policy is Policy.ALWAYS:
        return True, f"promoted by the policy `always`: {primary}"
    if policy is Policy.NEVER:
        return False, f"rejected by the policy `never`: {primary}"
    objection = _objection(report, rule)
    if objection is not None:
        return False, objection
    return True, f"better: {primary}, a gain with {report.primary.gained:.0%} confidence"


def _objection(report: RoleReport, rule: GateRule) -> str | None:
    """Why the rule rejects a candidate; None if it does not."""
    primary = report.primary
    if _is_worse(primary, rule):
        return f"worse by more than {rule.margin:g}: {_words(primary)}"
    if primary.difference <= 0 or primary.difference < rule.min_gain:
        return f"not better by at least {rule.min_gain:g}: {_words(primary)}"
    if primary.gained < rule.confidence:
        return (
            f"the gain has only {primary.gained:.0%} confidence, {rule.confidence:.0%} is"
            f" required: {_words(primary)}"
        )
    losses = [_words(metric) for metric in report.others if _is_worse(metric, rule)]
    if losses:
        return f"another metric is worse by more than {rule.margin:g}: {'; '.join(losses)}"
    return None


def _is_worse(metric: Comparison, rule: GateRule) -> bool:
    return metric.difference < -rule.margin and metric.lost >= rule.confidence


def _words(metric: Comparison) -> str:
    """Such as `strict accuracy 0.300 -> 0.350 (+0.050, 95 % -0.010 to +0.110, n=200)`."""
    return (
        f"{metric.name} {metric.incumbent:.3f} -> {metric.candidate:.3f}"
        f" ({metric.difference:+.3f}, 95 % {metric.low:+.3f} to {metric.high:+.3f}, n={metric.n})"
    )

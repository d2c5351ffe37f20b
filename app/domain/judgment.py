"""Judgments of a response: the refiner's votes and the results of the constraint checkers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Vote:
    """One sampled judgment.

    `verdict` is the sampled yes or no, `probability` the refiner's P(yes) for it (0..1) and
    `critique` the verification text that led there.
    """

    verdict: bool
    probability: float
    critique: str


@dataclass(frozen=True, slots=True)
class ConstraintResult:
    """Whether one constraint is met; `message` states the finding and the requirement."""

    id: str
    kwargs: Mapping[str, Any]
    satisfied: bool
    message: str


@dataclass(frozen=True, slots=True)
class QuickVerdict:
    """A quick verdict: P(yes) read before any critique (0..1), and what it decided.

    `verdict` is None where the probability was not clear and votes were cast.
    """

    probability: float
    verdict: bool | None


@dataclass(frozen=True, slots=True)
class Judgment:
    """The votes and constraint results of one response, under one accept_threshold.

    quick_verdict: None where none was taken.
    late_critique: written after a judgment without votes, because a rewrite needed it; it does
        not change the verdict.
    """

    votes: tuple[Vote, ...]
    constraints: tuple[ConstraintResult, ...]
    accept_threshold: float
    quick_verdict: QuickVerdict | None = None
    late_critique: str | None = None

    @property
    def value(self) -> float | None:
        """Share of yes votes (0..1); without votes, P(yes) of the quick verdict.

        None when the refiner was not called.
        """
        if not self.votes:
            return self.quick_verdict.probability if self.quick_verdict else None
        return sum(vote.verdict for vote in self.votes) / len(self.votes)

    @property
    def satisfied(self) -> float:
        """Share of constraints met (0..1); 1 when there are none."""
        if not self.constraints:
            return 1.0
        return sum(result.satisfied for result in self.constraints) / len(self.constraints)

    @property
    def accepted(self) -> bool:
        """Every constraint is met, and the quick verdict or else the votes are for it.

        The votes are for it when the value is above the threshold, and when there are none.
        """
        if self.satisfied < 1.0:
            return False
        if self.quick_verdict is not None and self.quick_verdict.verdict is not None:
            return self.quick_verdict.verdict
        return self.value is None or self.value > self.accept_threshold

    @property
    def failures(self) -> tuple[str, ...]:
        """The messages of the constraints that are not met."""
        return tuple(result.message for result in self.constraints if not result.satisfied)

    @property
    def explanation(self) -> str:
        """The critique of a vote that agrees with the verdict, else of any vote.

        A rejected response is thus explained by a vote against it whenever there is one. Without
        votes it is the late critique, or empty.
        """
        deciding = [vote for vote in self.votes if vote.verdict == self.accepted]
        late = self.late_critique or ""
        return next((vote.critique for vote in (*deciding, *self.votes)), late)

    @property
    def critique(self) -> str:
        """What to repair: the failed constraints, then the explanation."""
        lines = [f"- {message}" for message in self.failures]
        explained = self.votes or self.late_critique
        return "\n".join([*lines, self.explanation] if explained else lines)

"""What the refiner and the checkers say about a response."""

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
    """Whether one constraint is met; `message` says what was found and what was asked."""

    id: str
    kwargs: Mapping[str, Any]
    satisfied: bool
    message: str


@dataclass(frozen=True, slots=True)
class Judgment:
    """The votes and constraint results of one response, under one gate."""

    votes: tuple[Vote, ...]
    constraints: tuple[ConstraintResult, ...]
    gate: float

    @property
    def value(self) -> float | None:
        """Share of yes votes (0..1); None when the refiner was not asked."""
        if not self.votes:
            return None
        return sum(vote.verdict for vote in self.votes) / len(self.votes)

    @property
    def satisfied(self) -> float:
        """Share of constraints met (0..1); 1 when there are none."""
        if not self.constraints:
            return 1.0
        return sum(result.satisfied for result in self.constraints) / len(self.constraints)

    @property
    def accepted(self) -> bool:
        """The value is above the gate (where there are votes) and every constraint is met."""
        value = self.value
        return self.satisfied == 1.0 and (value is None or value > self.gate)

    @property
    def failures(self) -> tuple[str, ...]:
        """The messages of the constraints that are not met."""
        return tuple(result.message for result in self.constraints if not result.satisfied)

    @property
    def explanation(self) -> str:
        """The critique of a vote for the side the judgment came out on; empty without votes.

        So a rejected response is explained by a vote against it whenever there is one.
        """
        deciding = [vote for vote in self.votes if vote.verdict == self.accepted]
        return next((vote.critique for vote in (*deciding, *self.votes)), "")

    @property
    def critique(self) -> str:
        """What to repair, for people: the failed constraints, then the explanation."""
        lines = [f"- {message}" for message in self.failures]
        return "\n".join([*lines, self.explanation] if self.votes else lines)

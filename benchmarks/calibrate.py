"""Which P(yes) at quick verdict is clear enough: thresholds from responses judged in every way."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement

from app.domain.search import QuickVerdictRule

CUTS = 40
"""Most thresholds tried on each side."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One response, judged in every way.

    accepted: the verdict of the full procedure, which took `full_tokens`. voted: the verdict of
    votes that stop early, which took `voted_tokens`. looked: P(yes) at quick verdict, which took
    `look_tokens`; None where a program had rejected the response already.
    """

    accepted: bool
    voted: bool
    looked: float | None
    full_tokens: int
    voted_tokens: int
    look_tokens: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """Over some responses: verdicts that agree with the full procedure's, and tokens of both."""

    agreeing: int
    count: int
    tokens: int
    full_tokens: int

    @property
    def agreement(self) -> float:
        """Share of equal verdicts (0..1)."""
        return self.agreeing / self.count

    @property
    def cost(self) -> float:
        """Tokens, divided by those of the full procedure."""
        return self.tokens / self.full_tokens

    def __add__(self, other: "Outcome") -> "Outcome":
        return Outcome(
            self.agreeing + other.agreeing,
            self.count + other.count,
            self.tokens + other.tokens,
            self.full_tokens + other.full_tokens,
        )


def outcome(judged: Sequence[Judged], look: QuickVerdictRule) -> Outcome:
    """What judging by these thresholds would have said and cost."""
    verdicts = [_verdict(one, look) for one in judged]
    return Outcome(
        agreeing=sum(
            one.accepted is verdict for one, (verdict, _) in zip(judged, verdicts, strict=True)
        ),
        count=len(judged),
        tokens=sum(tokens for _, tokens in verdicts),
        full_tokens=sum(one.full_tokens for one in judged),
    )


def calibrate(judged: Sequence[Judged], wanted: float) -> QuickVerdictRule:
    """The cheapest thresholds whose agreement is at least `wanted` (0..1).

    Where none agree so often, those that agree most, and of these the cheapest.
    """

    def worth(look: QuickVerdictRule) -> tuple[float, float]:
        found = outcome(judged, look)
        return (min(found.agreement, wanted), -found.cost)

    return max(_candidates(judged), key=worth)


def held_out(judged: Sequence[Judged], wanted: float) -> Outcome:
    """Thresholds from each half, measured on the other: what to expect of new responses.

    Halves are the even and the odd positions. Raises ValueError for fewer than two responses.
    """
    if len(judged) < 2:
        raise ValueError("halves need two responses at least")
    even, odd = judged[::2], judged[1::2]
    return outcome(odd, calibrate(even, wanted)) + outcome(even, calibrate(odd, wanted))


def _verdict(one: Judged, look: QuickVerdictRule) -> tuple[bool, int]:
    """The verdict by these thresholds, and the tokens it takes."""
    if one.looked is None:
        return False, 0
    verdict = look.verdict(one.looked)
    if verdict is None:
        return one.voted, one.look_tokens + one.voted_tokens
    return verdict, one.look_tokens


def _candidates(judged: Sequence[Judged]) -> Iterator[QuickVerdictRule]:
    """Thresholds at what was seen, the widest (which leave all to the votes) first."""
    seen = sorted({one.looked for one in judged if one.looked is not None})
    step = max(1, len(seen) // CUTS)
    cuts = sorted({0.0, *seen[::step], 1.0})
    pairs = [QuickVerdictRule(low, high) for low, high in combinations_with_replacement(cuts, 2)]
    return iter(sorted(pairs, key=lambda look: look.low - look.high))

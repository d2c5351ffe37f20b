"""Fixed and random judgments."""

from hypothesis import strategies as st

from app.domain.judgment import ConstraintResult, Judgment, Vote


def vote(verdict: bool, critique: str = "") -> Vote:
    """A vote whose probability is 0 or 1."""
    return Vote(verdict, 1.0 if verdict else 0.0, critique)


def result(satisfied: bool, message: str = "") -> ConstraintResult:
    """A constraint result."""
    return ConstraintResult("some:constraint", {}, satisfied, message)


def judged(
    yes: int, no: int = 0, *, met: int = 0, failed: int = 0, accept_threshold: float = 0.5
) -> Judgment:
    """A judgment with these numbers of votes and constraint results."""
    return Judgment(
        votes=(vote(True),) * yes + (vote(False),) * no,
        constraints=(result(True),) * met + (result(False),) * failed,
        accept_threshold=accept_threshold,
    )


judgments = st.builds(
    judged,
    yes=st.integers(0, 3),
    no=st.integers(0, 3),
    met=st.integers(0, 2),
    failed=st.integers(0, 2),
    accept_threshold=st.sampled_from([0.0, 0.5, 0.7]),
)
"""Any judgment, from few kinds, so that ties are common."""

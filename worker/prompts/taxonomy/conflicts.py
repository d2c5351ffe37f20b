"""Which types cannot be asked for together."""

from worker.prompts.taxonomy.base import ConstraintType


def conflicts(one: ConstraintType, other: ConstraintType) -> bool:
    """Whether no response, or only a strange one, can meet both; symmetric, and true for equals.

    Two types conflict when they settle the same aspect (two lengths, two openings), when one needs
    what the other rules out (a comma, English words), or when one stands almost alone (JSON) and
    does not name the other.
    """
    return (
        one.name == other.name
        or bool(one.claims & other.claims)
        or bool(one.needs & other.rules_out)
        or bool(other.needs & one.rules_out)
        or not _admits(one, other)
        or not _admits(other, one)
    )


def _admits(one: ConstraintType, other: ConstraintType) -> bool:
    return one.only_with is None or other.name in one.only_with

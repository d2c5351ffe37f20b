"""How property tests run; `tests/conftest.py` registers the profiles."""

from hypothesis import settings

calm = settings()


def at_most(examples: int) -> int:
    """A number of examples for a costly property: the profile's, or this if it is smaller."""
    return min(examples, settings().max_examples)

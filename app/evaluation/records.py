"""Outcomes as JSON, and the outcome that a row without an answer counts as."""

from typing import Any

from pydantic import TypeAdapter

from app.evaluation.base import Outcome

_OUTCOME = TypeAdapter(Outcome)

NO_ANSWER = Outcome(response="", accepted=False, value=0.0)
"""What a row counts as that could not be answered: nothing said, nothing judged.

Leaving such rows out would flatter whoever fails on the difficult ones.
"""


def outcome_values(outcome: Outcome) -> dict[str, Any]:
    """An outcome as JSON-able values."""
    values: dict[str, Any] = _OUTCOME.dump_python(outcome, mode="json")
    return values

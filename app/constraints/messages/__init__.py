"""What a checker found, in words that a refiner can act on.

The verdict is always the library's. A describer measures what the library measured, in the same
way, so that its numbers explain the verdict and never contradict it.
"""

from collections.abc import Mapping

from app.constraints.kinds import Describe, Kwargs
from app.constraints.messages import case, combination, content, formatting, keywords, length

_DESCRIBERS: Mapping[str, Describe] = {
    **keywords.DESCRIBERS,
    **length.DESCRIBERS,
    **content.DESCRIBERS,
    **formatting.DESCRIBERS,
    **combination.DESCRIBERS,
    **case.DESCRIBERS,
}


def describe(
    constraint_id: str, kwargs: Kwargs, response: str, satisfied: bool, description: str
) -> str:
    """What was found and what was asked; `description` is the library's, for ids without words."""
    describer = _DESCRIBERS.get(constraint_id)
    if describer is None:
        return f"{'met' if satisfied else 'not met'}: {description}"
    return describer(kwargs, response, satisfied)

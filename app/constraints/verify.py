"""Checks one constraint on one response, with the verifier library, in the current process."""

from collections.abc import Mapping
from typing import Any

from app.constraints import json_schema, library, pattern
from app.constraints.catalogue import KINDS
from app.constraints.kinds import EMPTY_RESPONSE, Kwargs, Verdict
from app.constraints.messages import describe


def warm_up() -> None:
    """Load the library's language profiles and sentence tables."""
    library.detect_language("Warm up the language profiles.")
    library.count_capital_words("Load the sentence tables. Twice.")


def verify(constraint_id: str, kwargs: Mapping[str, Any], response: str, seconds: float) -> Verdict:
    """Check one response; a pattern may run for `seconds`.

    Raises:
        TimeoutError: a pattern ran for `seconds`.
        KeyError: the id is unknown.
        pydantic.ValidationError: the kwargs are wrong.
        Exception: whatever a checker of the library raises.
    """
    arguments = KINDS[constraint_id].kwargs.model_validate(kwargs)
    text = library.without_thinking(response)
    if not text:
        return EMPTY_RESPONSE
    try:
        return _verdict(constraint_id, arguments, text, seconds)
    except RecursionError:
        return Verdict(False, "the response is nested too deeply to be checked")


def _verdict(constraint_id: str, arguments: Kwargs, text: str, seconds: float) -> Verdict:
    match arguments:
        case json_schema.JsonSchema():
            return json_schema.check(arguments, text, seconds)
        case pattern.Regex():
            return pattern.check(arguments, text, seconds)
    satisfied, asked = library.follows(constraint_id, arguments.for_library(), text)
    return Verdict(satisfied, describe(constraint_id, arguments, text, satisfied, asked))

"""The constraint `regex`: the response matches a pattern. A slow pattern is a failed check."""

from typing import Annotated, Literal

import regex
from pydantic import AfterValidator, Field, StringConstraints

from app.constraints.kinds import ConstraintKind, Kwargs, Verdict, quoted

MAX_LENGTH = 4096


def _compiles(pattern: str) -> str:
    try:
        regex.compile(pattern)
    except regex.error as error:
        raise ValueError(f"not a regular expression: {error}") from error
    except RecursionError as error:
        raise ValueError("the pattern is nested too deeply") from error
    return pattern


class Regex(Kwargs):
    """`flags` are letters of i (ignore case), m (multi-line), s (dot matches all), x (verbose)."""

    pattern: Annotated[str, Field(min_length=1, max_length=MAX_LENGTH), AfterValidator(_compiles)]
    match: Literal["search", "fullmatch"] = "search"
    flags: Annotated[str, StringConstraints(pattern=r"^[imsx]{0,4}$")] = ""


KIND = ConstraintKind(
    "regex",
    "A regular expression is found in the response, or (fullmatch) matches the whole of it.",
    Regex,
)


def check(kwargs: Regex, response: str, seconds: float) -> Verdict:
    """Match a response.

    Raises:
        TimeoutError: after `seconds` of processor time.
    """
    flags = regex.RegexFlag(0)
    for letter in kwargs.flags:
        flags |= regex.RegexFlag[letter.upper()]
    compiled = regex.compile(kwargs.pattern, flags)
    run = compiled.search if kwargs.match == "search" else compiled.fullmatch
    name = f"the pattern {quoted(kwargs.pattern)}"
    found = run(response, timeout=seconds)
    if kwargs.match == "fullmatch":
        outcome = "matches" if found else "does not match"
        return Verdict(bool(found), f"{name} {outcome} the response as a whole")
    if found:
        return Verdict(True, f"{name} is found: {quoted(found.group())}")
    return Verdict(False, f"{name} is not found in the response")

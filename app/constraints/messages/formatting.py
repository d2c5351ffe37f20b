"""Messages of the families `detectable_format` and `punctuation`."""

import json
import re

from app.constraints.ifeval import MultipleSections, NumberBullets, NumberHighlights
from app.constraints.kinds import Describe, NoKwargs
from app.constraints.wording import plural, quoted

_FENCES = ("```json", "```Json", "```JSON", "```")


def bullets(kwargs: NumberBullets, response: str, _: bool) -> str:
    """How many bullet points there are."""
    stars = re.findall(r"^\s*\*[^\*].*$", response, flags=re.MULTILINE)
    dashes = re.findall(r"^\s*-.*$", response, flags=re.MULTILINE)
    found = plural(len(stars) + len(dashes), "bullet point")
    return f"{found} (lines that start with * or -), exactly {kwargs.num_bullets} asked for"


def answers(_: NoKwargs, __: str, satisfied: bool) -> str:
    """Whether one of the three answers is given."""
    options = '"My answer is yes.", "My answer is no." or "My answer is maybe."'
    if satisfied:
        return f"the response contains one of {options}"
    return f"the response contains none of the allowed answers: {options}"


def highlights(kwargs: NumberHighlights, response: str, _: bool) -> str:
    """How many parts are highlighted, **double** ones counted as the library does."""
    single = re.findall(r"\*[^\n\*]*\*", response)
    double = re.findall(r"\*\*[^\n\*]*\*\*", response)
    count = sum(bool(part.strip("*").strip()) for part in single)
    count += sum(bool(part.removeprefix("**").removesuffix("**").strip()) for part in double)
    wanted = f"at least {kwargs.num_highlights} asked for"
    return f"{plural(count, 'highlighted part')} like *this*, {wanted}"


def sections(kwargs: MultipleSections, response: str, _: bool) -> str:
    """How many sections are marked."""
    count = len(re.split(rf"\s?{kwargs.pattern}\s?\d+\s?", response)) - 1
    mark = quoted(f"{kwargs.section_spliter.strip()} 1")
    wanted = f"at least {kwargs.num_sections} asked for"
    return f"{plural(count, 'section')} marked like {mark}, {wanted}"


def json_format(_: NoKwargs, response: str, satisfied: bool) -> str:
    """Why the response is not JSON."""
    if satisfied:
        return "the response is JSON"
    body = response
    for fence in _FENCES:
        body = body.removeprefix(fence)
    try:
        json.loads(body.removesuffix("```").strip())
    except ValueError as error:
        reason = f" ({error})"
    else:
        reason = ""
    return f"the response is not JSON{reason}; only JSON, with no text around it, is asked for"


def title(_: NoKwargs, __: str, satisfied: bool) -> str:
    """Whether there is a title."""
    if satisfied:
        return "there is a title in double angle brackets"
    return "there is no title in double angle brackets, like <<title>>"


def commas(_: NoKwargs, response: str, __: bool) -> str:
    """How many commas there are."""
    return f"{plural(response.count(','), 'comma')}, none allowed"


DESCRIBERS: dict[str, Describe] = {
    "detectable_format:number_bullet_lists": bullets,
    "detectable_format:constrained_response": answers,
    "detectable_format:number_highlighted_sections": highlights,
    "detectable_format:multiple_sections": sections,
    "detectable_format:json_format": json_format,
    "detectable_format:title": title,
    "punctuation:no_comma": commas,
}

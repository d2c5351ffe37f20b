"""Messages of the families `detectable_content` and `language`."""

import re

from app.constraints.ifeval import NumberPlaceholders, Postscript, ResponseLanguage
from app.constraints.kinds import Describe, language_name
from app.constraints.library import LANGUAGE_UNKNOWN, detect_language
from app.constraints.wording import plural, quoted


def placeholders(kwargs: NumberPlaceholders, response: str, _: bool) -> str:
    """How many placeholders there are."""
    found = plural(len(re.findall(r"\[.*?\]", response)), "placeholder")
    return (
        f"{found} in square brackets like [address], at least {kwargs.num_placeholders} asked for"
    )


def postscript(kwargs: Postscript, _: str, satisfied: bool) -> str:
    """Whether there is a postscript."""
    marker = quoted(kwargs.postscript_marker.strip())
    if satisfied:
        return f"there is a postscript that starts with {marker}"
    return f"there is no postscript; one that starts with {marker} is asked for at the end"


def language(kwargs: ResponseLanguage, response: str, satisfied: bool) -> str:
    """Which language the response is in."""
    found = detect_language(response)
    wanted = f"{language_name(kwargs.language)} asked for"
    if found == LANGUAGE_UNKNOWN:
        outcome = "met" if satisfied else "not met"
        return f"the language of the response cannot be told, counted as {outcome}; {wanted}"
    return f"the language looks like {language_name(found)}, {wanted}"


DESCRIBERS: dict[str, Describe] = {
    "detectable_content:number_placeholders": placeholders,
    "detectable_content:postscript": postscript,
    "language:response_language": language,
}

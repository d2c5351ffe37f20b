"""Messages of the families `combination` and `startend`."""

from app.constraints.ifeval import EndPhrase, RepeatPrompt
from app.constraints.kinds import Describe, NoKwargs
from app.constraints.wording import plural, quoted

_TAIL = 40


def two_responses(_: NoKwargs, response: str, satisfied: bool) -> str:
    """How many responses the divider makes."""
    wanted = "two different responses, separated by ******, asked for"
    parts = [part.strip() for part in response.split("******")]
    filled = [part for part in parts if part]
    if not all(parts[1:-1]):
        found = "an empty response between two ****** dividers"
    elif len(filled) == 2 and not satisfied:
        found = "two responses that are the same"
    else:
        found = plural(len(filled), "response")
    return f"{found}; {wanted}"


def repeat_prompt(kwargs: RepeatPrompt, response: str, satisfied: bool) -> str:
    """Where the repeated request goes wrong."""
    if satisfied:
        return "the response starts with the request, word for word"
    asked = kwargs.prompt_to_repeat.strip()
    same = 0
    for expected, found in zip(asked.lower(), response.strip().lower(), strict=False):
        if expected != found:
            break
        same += 1
    where = f"after {quoted(asked[:same][-_TAIL:])}" if asked[:same].strip() else "at the start"
    return (
        "the response has to start with the request, word for word; it differs"
        f" {where}, where {quoted(asked[same:])} is expected"
    )


def end_phrase(kwargs: EndPhrase, response: str, satisfied: bool) -> str:
    """How the response ends."""
    phrase = quoted(kwargs.end_phrase.strip())
    if satisfied:
        return f"the response ends with {phrase}"
    tail = quoted(response.strip()[-_TAIL:])
    return f"the response ends with {tail}, it has to end with exactly {phrase}"


def quotation(_: NoKwargs, __: str, satisfied: bool) -> str:
    """Whether the response is in quotation marks."""
    if satisfied:
        return "the response is wrapped in double quotation marks"
    return 'the response is not wrapped in double quotation marks; it has to start and end with "'


DESCRIBERS: dict[str, Describe] = {
    "combination:two_responses": two_responses,
    "combination:repeat_prompt": repeat_prompt,
    "startend:end_checker": end_phrase,
    "startend:quotation": quotation,
}

"""What a checker found, as a message that a refiner can act on.

The verdict is always the library's. A describer measures what the library measured, in the same
way, so that its numbers explain the verdict and never contradict it.
"""

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from app.constraints.ifeval import (
    CapitalWordFrequency,
    EndPhrase,
    Existence,
    ForbiddenWords,
    Frequency,
    LetterFrequency,
    MultipleSections,
    NumberBullets,
    NumberHighlights,
    NumberParagraphs,
    NumberPlaceholders,
    NumberSentences,
    NumberWords,
    ParagraphFirstWord,
    Postscript,
    RepeatPrompt,
    ResponseLanguage,
)
from app.constraints.kinds import Kwargs, NoKwargs, Relation, language_name, quoted
from app.constraints.library import (
    LANGUAGE_UNKNOWN,
    count_capital_words,
    count_sentences,
    count_words,
    detect_language,
)

Describe = Callable[[Any, str, bool], str]
"""Describes a finding, from the kwargs, the response and the verdict."""

_BOUNDS = {
    "less than": "fewer than {} allowed",
    "at least": "at least {} asked for",
    "at most": "at most {} allowed",
}
_FENCES = ("```json", "```Json", "```JSON", "```")
_TAIL = 40  # characters of the response that are quoted
_EXAMPLES = 3


def describe(
    constraint_id: str, kwargs: Kwargs, response: str, satisfied: bool, description: str
) -> str:
    """The finding and the requirement.

    `description` is the library's, for the constraints that have no describer.
    """
    describer = _DESCRIBERS.get(constraint_id)
    if describer is None:
        return f"{'met' if satisfied else 'not met'}: {description}"
    return describer(kwargs, response, satisfied)


def _plural(number: int, noun: str) -> str:
    """ "1 word", "2 words"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _bound(relation: Relation, number: int) -> str:
    """The requirement: "at most 100 allowed"."""
    return _BOUNDS[relation].format(number)


# The family keywords.


def _existence(kwargs: Existence, response: str, _: bool) -> str:
    words = kwargs.keywords
    missing = [w for w in words if not re.search(re.escape(w), response, re.IGNORECASE)]
    if not missing:
        return f"all {_plural(len(words), 'keyword')} found"
    found = f"({len(words) - len(missing)} of {len(words)} found)"
    if len(missing) == 1:
        return f"the keyword {quoted(missing[0])} is missing {found}"
    return f"the keywords {', '.join(map(quoted, missing))} are missing {found}"


def _frequency(kwargs: Frequency, response: str, _: bool) -> str:
    times = len(re.findall(kwargs.pattern, response, re.IGNORECASE))
    wanted = _bound(kwargs.relation, kwargs.frequency)
    return f"the keyword {quoted(kwargs.keyword)} appears {_plural(times, 'time')}, {wanted}"


def _forbidden_words(kwargs: ForbiddenWords, response: str, _: bool) -> str:
    found = [
        word
        for word in dict.fromkeys(kwargs.forbidden_words)
        if re.search(rf"\b{re.escape(word)}\b", response, re.IGNORECASE)
    ]
    if not found:
        return "no forbidden word found"
    noun = "word" if len(found) == 1 else "words"
    return f"the forbidden {noun} {', '.join(map(quoted, found))} found, none allowed"


def _letter_frequency(kwargs: LetterFrequency, response: str, _: bool) -> str:
    times = response.lower().count(kwargs.letter.lower())
    wanted = _bound(kwargs.let_relation, kwargs.let_frequency)
    return f'the letter "{kwargs.letter.lower()}" appears {_plural(times, "time")}, {wanted}'


# The family length_constraints.


def _words(kwargs: NumberWords, response: str, _: bool) -> str:
    return f"{_plural(count_words(response), 'word')}, {_bound(kwargs.relation, kwargs.num_words)}"


def _sentences(kwargs: NumberSentences, response: str, _: bool) -> str:
    found = _plural(count_sentences(response), "sentence")
    return f"{found}, {_bound(kwargs.relation, kwargs.num_sentences)}"


def _paragraphs(kwargs: NumberParagraphs, response: str, _: bool) -> str:
    """How many paragraphs the *** dividers make."""
    parts = [part.strip() for part in re.split(r"\s?\*\*\*\s?", response)]
    wanted = f"exactly {kwargs.num_paragraphs} asked for, separated by ***"
    if not all(parts[1:-1]):
        return f"an empty paragraph between two *** dividers; {wanted}"
    return f"{_plural(sum(map(bool, parts)), 'paragraph')}, {wanted}"


def _first_word(kwargs: ParagraphFirstWord, response: str, satisfied: bool) -> str:
    """How many paragraphs the blank lines make, and how the one in question starts."""
    parts = response.split("\n\n")
    count = _plural(sum(bool(part.strip()) for part in parts), "paragraph")
    wanted = f"exactly {kwargs.num_paragraphs} asked for, separated by one blank line"
    nth, word = kwargs.nth_paragraph, quoted(kwargs.first_word)
    if satisfied:
        return f"{count}, {wanted}; paragraph {nth} starts with {word}"
    start = parts[nth - 1].split() if nth <= len(parts) else []
    found = f"starts with {quoted(start[0])}" if start else "is missing or empty"
    return f"{count}, {wanted}; paragraph {nth} {found}, it has to start with the word {word}"


# The families detectable_content and language.


def _placeholders(kwargs: NumberPlaceholders, response: str, _: bool) -> str:
    found = _plural(len(re.findall(r"\[.*?\]", response)), "placeholder")
    return (
        f"{found} in square brackets like [address], at least {kwargs.num_placeholders} asked for"
    )


def _postscript(kwargs: Postscript, _: str, satisfied: bool) -> str:
    marker = quoted(kwargs.postscript_marker.strip())
    if satisfied:
        return f"there is a postscript that starts with {marker}"
    return f"there is no postscript; one that starts with {marker} is asked for at the end"


def _language(kwargs: ResponseLanguage, response: str, satisfied: bool) -> str:
    found = detect_language(response)
    wanted = f"{language_name(kwargs.language)} asked for"
    if found == LANGUAGE_UNKNOWN:
        outcome = "met" if satisfied else "not met"
        return f"the language of the response cannot be told, counted as {outcome}; {wanted}"
    return f"the language looks like {language_name(found)}, {wanted}"


# The families detectable_format and punctuation.


def _bullets(kwargs: NumberBullets, response: str, _: bool) -> str:
    stars = re.findall(r"^\s*\*[^\*].*$", response, flags=re.MULTILINE)
    dashes = re.findall(r"^\s*-.*$", response, flags=re.MULTILINE)
    found = _plural(len(stars) + len(dashes), "bullet point")
    return f"{found} (lines that start with * or -), exactly {kwargs.num_bullets} asked for"


def _answers(_: NoKwargs, __: str, satisfied: bool) -> str:
    options = '"My answer is yes.", "My answer is no." or "My answer is maybe."'
    if satisfied:
        return f"the response contains one of {options}"
    return f"the response contains none of the allowed answers: {options}"


def _highlights(kwargs: NumberHighlights, response: str, _: bool) -> str:
    """How many parts are highlighted, **double** ones counted as the library does."""
    single = re.findall(r"\*[^\n\*]*\*", response)
    double = re.findall(r"\*\*[^\n\*]*\*\*", response)
    count = sum(bool(part.strip("*").strip()) for part in single)
    count += sum(bool(part.removeprefix("**").removesuffix("**").strip()) for part in double)
    wanted = f"at least {kwargs.num_highlights} asked for"
    return f"{_plural(count, 'highlighted part')} like *this*, {wanted}"


def _sections(kwargs: MultipleSections, response: str, _: bool) -> str:
    count = len(re.split(rf"\s?{kwargs.pattern}\s?\d+\s?", response)) - 1
    mark = quoted(f"{kwargs.section_spliter.strip()} 1")
    wanted = f"at least {kwargs.num_sections} asked for"
    return f"{_plural(count, 'section')} marked like {mark}, {wanted}"


def _json_format(_: NoKwargs, response: str, satisfied: bool) -> str:
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


def _title(_: NoKwargs, __: str, satisfied: bool) -> str:
    if satisfied:
        return "there is a title in double angle brackets"
    return "there is no title in double angle brackets, like <<title>>"


def _commas(_: NoKwargs, response: str, __: bool) -> str:
    return f"{_plural(response.count(','), 'comma')}, none allowed"


# The families combination and startend.


def _two_responses(_: NoKwargs, response: str, satisfied: bool) -> str:
    wanted = "two different responses, separated by ******, asked for"
    parts = [part.strip() for part in response.split("******")]
    filled = [part for part in parts if part]
    if not all(parts[1:-1]):
        found = "an empty response between two ****** dividers"
    elif len(filled) == 2 and not satisfied:
        found = "two responses that are the same"
    else:
        found = _plural(len(filled), "response")
    return f"{found}; {wanted}"


def _repeat_prompt(kwargs: RepeatPrompt, response: str, satisfied: bool) -> str:
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


def _end_phrase(kwargs: EndPhrase, response: str, satisfied: bool) -> str:
    phrase = quoted(kwargs.end_phrase.strip())
    if satisfied:
        return f"the response ends with {phrase}"
    tail = quoted(response.strip()[-_TAIL:])
    return f"the response ends with {tail}, it has to end with exactly {phrase}"


def _quotation(_: NoKwargs, __: str, satisfied: bool) -> str:
    if satisfied:
        return "the response is wrapped in double quotation marks"
    return 'the response is not wrapped in double quotation marks; it has to start and end with "'


# The family change_case.


def _capital_words(kwargs: CapitalWordFrequency, response: str, _: bool) -> str:
    found = _plural(count_capital_words(response), "word")
    return f"{found} in all capitals, {_bound(kwargs.capital_relation, kwargs.capital_frequency)}"


def _capital(_: NoKwargs, response: str, satisfied: bool) -> str:
    if satisfied:
        return "the response is in English and in capital letters"
    wrong = (word for word in response.split() if word != word.upper())
    return _not_in_case("capital", wrong, response, response.isupper())


def _lowercase(_: NoKwargs, response: str, satisfied: bool) -> str:
    if satisfied:
        return "the response is in English and in lowercase letters"
    wrong = (word for word in response.split() if word != word.lower())
    return _not_in_case("lowercase", wrong, response, response.islower())


def _not_in_case(case: str, wrong: Iterable[str], response: str, cased: bool) -> str:
    if cased:
        name = language_name(detect_language(response))
        return f"the language looks like {name}, English in {case} letters asked for"
    words = list(wrong)
    if not words:
        return f"the response is not in {case} letters, English in {case} letters asked for"
    examples = ", ".join(map(quoted, words[:_EXAMPLES]))
    found = f"{_plural(len(words), 'word')} not in {case} letters"
    return f"{found} ({examples}), English in {case} letters only asked for"


_DESCRIBERS: Mapping[str, Describe] = {
    "keywords:existence": _existence,
    "keywords:frequency": _frequency,
    "keywords:forbidden_words": _forbidden_words,
    "keywords:letter_frequency": _letter_frequency,
    "length_constraints:number_words": _words,
    "length_constraints:number_sentences": _sentences,
    "length_constraints:number_paragraphs": _paragraphs,
    "length_constraints:nth_paragraph_first_word": _first_word,
    "detectable_content:number_placeholders": _placeholders,
    "detectable_content:postscript": _postscript,
    "language:response_language": _language,
    "detectable_format:number_bullet_lists": _bullets,
    "detectable_format:constrained_response": _answers,
    "detectable_format:number_highlighted_sections": _highlights,
    "detectable_format:multiple_sections": _sections,
    "detectable_format:json_format": _json_format,
    "detectable_format:title": _title,
    "punctuation:no_comma": _commas,
    "combination:two_responses": _two_responses,
    "combination:repeat_prompt": _repeat_prompt,
    "startend:end_checker": _end_phrase,
    "startend:quotation": _quotation,
    "change_case:capital_word_frequency": _capital_words,
    "change_case:english_capital": _capital,
    "change_case:english_lowercase": _lowercase,
}

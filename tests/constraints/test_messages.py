"""Every IFEval id, met and not met, with the message that the refiner gets."""

from typing import Any

import pytest

from app.constraints.checker import Checker
from app.constraints.ifeval import KINDS
from app.domain.prompt import Constraint, Prompt

CASES: list[tuple[str, dict[str, Any], str, bool, str]] = [
    (
        "keywords:existence",
        {"keywords": ["rain", "sun"]},
        "Rain and sun.",
        True,
        "all 2 keywords found",
    ),
    (
        "keywords:existence",
        {"keywords": ["rain", "sun"]},
        "The sun shines.",
        False,
        'the keyword "rain" is missing (1 of 2 found)',
    ),
    (
        "keywords:existence",
        {"keywords": ["C++", "a.b"]},
        "aXb",
        False,
        'the keywords "C++", "a.b" are missing (0 of 2 found)',
    ),
    (
        "keywords:frequency",
        {"keyword": "rain", "frequency": 2, "relation": "at least"},
        "Rain, rain.",
        True,
        'the keyword "rain" appears 2 times, at least 2 asked for',
    ),
    (
        "keywords:frequency",
        {"keyword": "rain", "frequency": 1, "relation": "less than"},
        "Rain.",
        False,
        'the keyword "rain" appears 1 time, fewer than 1 allowed',
    ),
    (
        "keywords:forbidden_words",
        {"forbidden_words": ["rain", "snow"]},
        "Training.",
        True,
        "no forbidden word found",
    ),
    (
        "keywords:forbidden_words",
        {"forbidden_words": ["rain", "snow"]},
        "Snow or rain.",
        False,
        'the forbidden words "rain", "snow" found, none allowed',
    ),
    (
        "keywords:letter_frequency",
        {"letter": "E", "let_frequency": 3, "let_relation": "at most"},
        "eeE",
        True,
        'the letter "e" appears 3 times, at most 3 allowed',
    ),
    (
        "keywords:letter_frequency",
        {"letter": "e", "let_frequency": 3, "let_relation": "at most"},
        "eeEe",
        False,
        'the letter "e" appears 4 times, at most 3 allowed',
    ),
    (
        "language:response_language",
        {"language": "de"},
        "Das ist ein ganz einfacher deutscher Satz über das Wetter.",
        True,
        "the language looks like German, German asked for",
    ),
    (
        "language:response_language",
        {"language": "de"},
        "This is a simple sentence about the weather in spring.",
        False,
        "the language looks like English, German asked for",
    ),
    (
        "language:response_language",
        {"language": "de"},
        "12345",
        True,
        "the language of the response cannot be told, counted as met; German asked for",
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "at least"},
        "Dr. Who came. He left.",
        True,
        "2 sentences, at least 2 asked for",
    ),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "at least"},
        "Dr. Who came.",
        False,
        "1 sentence, at least 2 asked for",
    ),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        "One.\n***\nTwo.",
        True,
        "2 paragraphs, exactly 2 asked for, separated by ***",
    ),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 4},
        "One.\n***\nTwo.\n***\nThree.",
        False,
        "3 paragraphs, exactly 4 asked for, separated by ***",
    ),
    (
        "length_constraints:number_paragraphs",
        {"num_paragraphs": 2},
        "One.\n***\n\n***\nTwo.",
        False,
        "an empty paragraph between two *** dividers; exactly 2 asked for, separated by ***",
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "at most"},
        "one two three",
        True,
        "3 words, at most 3 allowed",
    ),
    (
        "length_constraints:number_words",
        {"num_words": 3, "relation": "less than"},
        "one two three",
        False,
        "3 words, fewer than 3 allowed",
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"},
        "First.\n\nThen, more.",
        True,
        '2 paragraphs, exactly 2 asked for, separated by one blank line; paragraph 2 starts with'
        ' "Then"',
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"},
        "First.\n\nNow more.",
        False,
        '2 paragraphs, exactly 2 asked for, separated by one blank line; paragraph 2 starts with'
        ' "Now", it has to start with the word "Then"',
    ),
    (
        "length_constraints:nth_paragraph_first_word",
        {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"},
        "First.",
        False,
        '1 paragraph, exactly 2 asked for, separated by one blank line; paragraph 2 is missing or'
        ' empty, it has to start with the word "Then"',
    ),
    (
        "detectable_content:number_placeholders",
        {"num_placeholders": 1},
        "Dear [name]",
        True,
        "1 placeholder in square brackets like [address], at least 1 asked for",
    ),
    (
        "detectable_content:number_placeholders",
        {"num_placeholders": 2},
        "Dear [name]",
        False,
        "1 placeholder in square brackets like [address], at least 2 asked for",
    ),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.S."},
        "Bye.\nP.S. Call me.",
        True,
        'there is a postscript that starts with "P.S."',
    ),
    (
        "detectable_content:postscript",
        {"postscript_marker": "P.S."},
        "Bye.",
        False,
        'there is no postscript; one that starts with "P.S." is asked for at the end',
    ),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        "* a\n- b",
        True,
        "2 bullet points (lines that start with * or -), exactly 2 asked for",
    ),
    (
        "detectable_format:number_bullet_lists",
        {"num_bullets": 2},
        "* a",
        False,
        "1 bullet point (lines that start with * or -), exactly 2 asked for",
    ),
    (
        "detectable_format:constrained_response",
        {},
        "My answer is no.",
        True,
        'the response contains one of "My answer is yes.", "My answer is no." or "My answer is'
        ' maybe."',
    ),
    (
        "detectable_format:constrained_response",
        {},
        "No.",
        False,
        'the response contains none of the allowed answers: "My answer is yes.", "My answer is'
        ' no." or "My answer is maybe."',
    ),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        "*one* and *two*",
        True,
        "2 highlighted parts like *this*, at least 2 asked for",
    ),
    (
        "detectable_format:number_highlighted_sections",
        {"num_highlights": 2},
        "*one* and * *",
        False,
        "1 highlighted part like *this*, at least 2 asked for",
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        "Section 1\na\nSection 2\nb",
        True,
        '2 sections marked like "Section 1", at least 2 asked for',
    ),
    (
        "detectable_format:multiple_sections",
        {"section_spliter": "Section", "num_sections": 2},
        "Section 1\na",
        False,
        '1 section marked like "Section 1", at least 2 asked for',
    ),
    (
        "detectable_format:json_format",
        {},
        '```json\n{"a": 1}\n```',
        True,
        "the response is JSON",
    ),
    (
        "detectable_format:json_format",
        {},
        "a: 1",
        False,
        "the response is not JSON (Expecting value: line 1 column 1 (char 0)); only JSON, with no"
        " text around it, is asked for",
    ),
    (
        "detectable_format:title",
        {},
        "<<Spring>>\nIt rains.",
        True,
        "there is a title in double angle brackets",
    ),
    (
        "detectable_format:title",
        {},
        "Spring\nIt rains.",
        False,
        "there is no title in double angle brackets, like <<title>>",
    ),
    (
        "combination:two_responses",
        {},
        "Yes.\n******\nNo.",
        True,
        "2 responses; two different responses, separated by ******, asked for",
    ),
    (
        "combination:two_responses",
        {},
        "Yes.\n******\nYes.",
        False,
        "two responses that are the same; two different responses, separated by ******, asked for",
    ),
    (
        "combination:repeat_prompt",
        {"prompt_to_repeat": "What is 1+1?"},
        "What is 1+1? It is 2.",
        True,
        "the response starts with the request, word for word",
    ),
    (
        "combination:repeat_prompt",
        {"prompt_to_repeat": "What is 1+1?"},
        "What was 1+1?",
        False,
        "the response has to start with the request, word for word; it differs after"
        ' "What", where "is 1+1?" is expected',
    ),
    (
        "startend:end_checker",
        {"end_phrase": "That is all."},
        "It rains. That is all.",
        True,
        'the response ends with "That is all."',
    ),
    (
        "startend:end_checker",
        {"end_phrase": "That is all."},
        "It rains.",
        False,
        'the response ends with "It rains.", it has to end with exactly "That is all."',
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 2, "capital_relation": "at least"},
        "STOP it NOW",
        True,
        "2 words in all capitals, at least 2 asked for",
    ),
    (
        "change_case:capital_word_frequency",
        {"capital_frequency": 1, "capital_relation": "at most"},
        "STOP it NOW",
        False,
        "2 words in all capitals, at most 1 allowed",
    ),
    (
        "change_case:english_capital",
        {},
        "THIS IS A SIMPLE SENTENCE ABOUT THE WEATHER IN SPRING.",
        True,
        "the response is in English and in capital letters",
    ),
    (
        "change_case:english_capital",
        {},
        "STOP that Now",
        False,
        '2 words not in capital letters ("that", "Now"), English in capital letters only asked'
        " for",
    ),
    (
        "change_case:english_lowercase",
        {},
        "this is a simple sentence about the weather in spring.",
        True,
        "the response is in English and in lowercase letters",
    ),
    (
        "change_case:english_lowercase",
        {},
        "das ist ein ganz einfacher deutscher satz über das wetter.",
        False,
        "the language looks like German, English in lowercase letters asked for",
    ),
    ("punctuation:no_comma", {}, "One and two.", True, "0 commas, none allowed"),
    ("punctuation:no_comma", {}, "One, two.", False, "1 comma, none allowed"),
    (
        "startend:quotation",
        {},
        '"It rains."',
        True,
        "the response is wrapped in double quotation marks",
    ),
    (
        "startend:quotation",
        {},
        "It rains.",
        False,
        "the response is not wrapped in double quotation marks; it has to start and end with"
        ' "',
    ),
]  # fmt: skip


@pytest.mark.parametrize(("constraint_id", "kwargs", "response", "satisfied", "message"), CASES)
async def test_the_message_has_the_finding_and_the_requirement(
    checker: Checker,
    constraint_id: str,
    kwargs: dict[str, Any],
    response: str,
    satisfied: bool,
    message: str,
) -> None:
    constraint = Constraint(constraint_id, kwargs)
    checker.validate([constraint])
    [result] = await checker.check(Prompt.from_text("Answer me.", (constraint,)), response)
    assert (result.satisfied, result.message) == (satisfied, message)
    assert (result.id, result.kwargs) == (constraint_id, kwargs)


def test_every_ifeval_id_is_shown_met_and_not_met() -> None:
    shown = {(constraint_id, satisfied) for constraint_id, _, _, satisfied, _ in CASES}
    assert shown == {(kind.id, satisfied) for kind in KINDS for satisfied in (True, False)}


async def test_other_ids_have_the_librarys_description(checker: Checker) -> None:
    prompt = Prompt.from_text("Answer me.", (Constraint("count:numbers", {"N": 2}),))
    [met] = await checker.check(prompt, "1 and 2")
    [unmet] = await checker.check(prompt, "1")
    assert met.message == "met: Include exactly 2 numbers in the response."
    assert unmet.message == "not met: Include exactly 2 numbers in the response."
    assert (met.satisfied, unmet.satisfied) == (True, False)

"""The outer form: paragraphs, points, titles, JSON, and templates to fill in."""

import re
from typing import Any

from app.domain.prompt import Constraint
from worker.prompts.taxonomy.base import (
    ConstraintType,
    aspects,
    counting,
    drawing,
    features,
    fixed,
    ifeval,
    in_words,
    kinds,
    matching,
)

_BLOCKS = aspects("shape", "sentences")
_WHOLE = aspects("shape", "sentences", "wrapping", "opening", "closing", "length")
_GIVEN = features("given words", "English")

_WITH_JSON = frozenset({
    "keyword.include", "keyword.repeat", "style.no_first_person", "style.no_fillers",
    "sentiment.cheerful", "sentiment.critical", "sentiment.hopeful",
})  # fmt: skip
_WITH_TWO_ANSWERS = frozenset({
    "keyword.include", "keyword.forbidden", "punctuation.no_comma", "language.answer_in",
    "text_format.title", "sentiment.cheerful", "sentiment.hopeful",
})  # fmt: skip

_JSON_KEYS = (("topic", "answer"), ("summary", "details"), ("title", "text"), ("idea", "reason"))
_LABELS = (
    ("Topic:", "Details:"),
    ("Main point:", "Example:"),
    ("Idea:", "Reason:", "Result:"),
    ("What:", "Why:"),
)


def _numbered(number: int) -> tuple[Constraint, ...]:
    points = ".*?".join(rf"^{n}\. +\S" for n in range(1, number + 1))
    return matching(rf"\A(?!.*^{number + 1}\.).*?{points}", "ms")


def _first_word(choice: tuple[int, str]) -> tuple[Constraint, ...]:
    paragraphs, word = choice
    return ifeval(
        "length_constraints:nth_paragraph_first_word",
        num_paragraphs=paragraphs,
        nth_paragraph=2,
        first_word=word,
    )


def _json(schema: dict[str, Any]) -> tuple[Constraint, ...]:
    return (Constraint("json_schema", {"schema": schema}),)


def _json_object(keys: tuple[str, ...]) -> tuple[Constraint, ...]:
    return _json(
        {
            "type": "object",
            "properties": {key: {"type": "string", "minLength": 1} for key in keys},
            "required": list(keys),
            "additionalProperties": False,
        }
    )


def _json_list(number: int) -> tuple[Constraint, ...]:
    texts = {"type": "string", "minLength": 1}
    return _json({"type": "array", "items": texts, "minItems": number, "maxItems": number})


def _labelled(labels: tuple[str, ...]) -> tuple[Constraint, ...]:
    return matching(".*?".join(rf"^{re.escape(label)}[^\S\n]*\S" for label in labels), "msi")


TYPES = (
    ConstraintType(
        "text_format",
        "bullets",
        counting(
            (2, 3, 4, 5),
            lambda n: ifeval("detectable_format:number_bullet_lists", num_bullets=n),
            "Answer with exactly {} bullet points, each on a line that starts with an asterisk or"
            " a dash.",
            "Your answer must contain exactly {} bullet points. Start their lines with an asterisk"
            " or a dash.",
        ),
        suits=kinds("open", "ideas"),
        echo_proof=True,
        claims=_BLOCKS,
        needs=features("line breaks"),
    ),
    ConstraintType(
        "text_format",
        "numbered_list",
        counting(
            (2, 3, 4, 5),
            _numbered,
            "Answer with a numbered list of exactly {} points, whose lines start with 1. and 2."
            " and so on.",
            "Your answer must contain a list of exactly {} points, numbered like 1. and 2. at the"
            " start of their lines.",
        ),
        suits=kinds("open", "ideas"),
        echo_proof=True,
        claims=_BLOCKS | aspects("numbers"),
        needs=features("line breaks"),
    ),
    ConstraintType(
        "text_format",
        "highlights",
        counting(
            (2, 3),
            lambda n: ifeval("detectable_format:number_highlighted_sections", num_highlights=n),
            "Highlight at least {} phrases by putting an asterisk on each side, like *this*.",
            "At least {} parts of your answer must stand between asterisks, like *this*.",
        ),
        echo_proof=True,
        claims=aspects("headings"),
    ),
    ConstraintType(
        "text_format",
        "title",
        fixed(
            ifeval("detectable_format:title"),
            "Give your answer a title that ends with >> and begins with <<.",
            "Your answer needs a title with >> right after it and << right before it.",
        ),
        echo_proof=True,
        claims=aspects("wrapping"),
    ),
    ConstraintType(
        "text_format",
        "sections",
        counting(
            (2, 3),
            lambda n: ifeval(
                "detectable_format:multiple_sections", section_spliter="Section", num_sections=n
            ),
            "Divide your answer into at least {} sections, and mark each with the word Section and"
            " its number, as in Section 1.",
            "Your answer must have {} sections or more, with headings that count up from"
            " Section 1.",
        ),
        suits=kinds("open", "ideas"),
        echo_proof=True,
        claims=_BLOCKS | aspects("numbers", "headings"),
        needs=_GIVEN | features("uppercase", "lowercase", "line breaks"),
    ),
    ConstraintType(
        "text_format",
        "paragraphs",
        counting(
            (2, 3),
            lambda n: ifeval("length_constraints:number_paragraphs", num_paragraphs=n),
            "Write exactly {} paragraphs, and separate them with ***.",
            "Your answer must have {} paragraphs, with a line of *** between one and the next.",
        ),
        suits=kinds("open", "piece", "ideas"),
        claims=_BLOCKS,
        needs=features("line breaks"),
    ),
    ConstraintType(
        "text_format",
        "paragraph_first_word",
        drawing(
            [(n, word) for n in (2, 3) for word in ("However", "Next", "Also", "Later", "Finally")],
            _first_word,
            "Write exactly {}.",
            "Your answer must consist of exactly {}.",
            say=lambda c: (
                f"{in_words(c[0])} paragraphs with a blank line between them, and start the second"
                f' one with the word "{c[1]}"'
            ),
        ),
        suits=kinds("open", "piece"),
        echo_proof=True,
        claims=aspects("shape"),
        needs=_GIVEN | features("line breaks"),
    ),
    ConstraintType(
        "text_format",
        "single_paragraph",
        fixed(
            matching(r"[^\n]+", whole=True),
            "Write everything as a single paragraph, without any line break.",
            "Your answer must be one paragraph with no line breaks in it.",
        ),
        claims=aspects("shape"),
        rules_out=features("line breaks"),
    ),
    ConstraintType(
        "text_format",
        "json_object",
        drawing(
            _JSON_KEYS,
            _json_object,
            "Answer with a JSON object and nothing else; its only keys are {}, and each value is a"
            " text that is not empty.",
            "Your whole answer must be one JSON object with exactly the keys {}, where each value"
            " is a text that is not empty.",
            say=lambda keys: " and ".join(f'"{key}"' for key in keys),
        ),
        suits=kinds("open", "task", "ideas"),
        echo_proof=True,
        claims=_WHOLE,
        needs=_GIVEN | features("comma", "lowercase"),
        only_with=_WITH_JSON,
    ),
    ConstraintType(
        "text_format",
        "json_list",
        counting(
            (2, 3, 4),
            _json_list,
            "Answer with a JSON list of exactly {} texts and nothing else; none of them is empty.",
            "Your whole answer must be one JSON list that holds exactly {} texts, none of them"
            " empty.",
        ),
        suits=kinds("open", "ideas"),
        echo_proof=True,
        claims=_WHOLE,
        needs=features("comma"),
        only_with=_WITH_JSON,
    ),
    ConstraintType(
        "text_format",
        "quotation",
        fixed(
            ifeval("startend:quotation"),
            "Put your whole answer inside double quotation marks.",
            "Your answer must begin and end with a double quotation mark.",
        ),
        echo_proof=True,
        claims=aspects("shape", "wrapping", "opening", "closing"),
    ),
    ConstraintType(
        "text_format",
        "two_answers",
        fixed(
            ifeval("combination:two_responses"),
            "Give two different answers, and separate them with ******.",
            "Answer twice, in two different ways, with a line of ****** between the two.",
        ),
        claims=_WHOLE - aspects("wrapping"),
        needs=features("line breaks"),
        only_with=_WITH_TWO_ANSWERS,
    ),
    ConstraintType(
        "template",
        "labels",
        drawing(
            _LABELS,
            _labelled,
            "Use this template, with each label at the start of a line and text right after it:"
            " {}.",
            "Your answer must have a line for each of the labels {}, in this order. A line starts"
            " with its label and goes on with text.",
            say=lambda labels: " and ".join(f'"{label}"' for label in labels),
        ),
        suits=kinds("open", "task"),
        echo_proof=True,
        claims=_BLOCKS,
        needs=_GIVEN | features("line breaks"),
    ),
    ConstraintType(
        "template",
        "placeholders",
        counting(
            (2, 3),
            lambda n: ifeval("detectable_content:number_placeholders", num_placeholders=n),
            "Leave at least {} placeholders in square brackets to be filled in later, like [date].",
            "Your answer must contain at least {} placeholders in square brackets, like [date].",
        ),
        suits=kinds("open", "piece"),
        echo_proof=True,
    ),
    ConstraintType(
        "template",
        "postscript",
        fixed(
            ifeval("detectable_content:postscript", postscript_marker="P.S.")
            + matching(r"^P\.S\. *\S", "mi"),
            'Add a postscript on a line of its own that begins with "P.S." and goes on from there.',
            'At the end, add a new line with a postscript, which begins with "P.S." and then'
            " continues.",
        ),
        suits=kinds("open", "piece"),
        echo_proof=True,
        claims=aspects("closing"),
        needs=features("given words", "line breaks"),
    ),
)

"""The 25 kinds of IFEval."""

import re
from typing import Annotated, Any, Self

from pydantic import Field, StringConstraints, model_validator

from app.constraints.kinds import (
    ConstraintKind,
    Count,
    Kwargs,
    Language,
    Phrase,
    Positive,
    Relation,
    Words,
)

WholeWord = Annotated[Phrase, StringConstraints(pattern=r"^\w(.*\w)?$")]
Letter = Annotated[str, StringConstraints(pattern=r"^[A-Za-z]$")]
SingleWord = Annotated[str, StringConstraints(pattern=r"^\S+$", max_length=100)]

_LIBRARY_MARKERS = ("P.S.", "P.P.S")


def library_bound(relation: Relation, number: int) -> tuple[str, int]:
    """The bound in the library's two relations."""
    return ("less than", number + 1) if relation == "at most" else (relation, number)


class Existence(Kwargs):
    keywords: Words

    def for_library(self) -> dict[str, Any]:
        return {"keywords": [re.escape(word) for word in self.keywords]}


class Frequency(Kwargs):
    keyword: Phrase
    frequency: Count
    relation: Relation

    @property
    def pattern(self) -> str:
        """What the library searches for, ignoring case."""
        return re.escape(self.keyword.strip())

    def for_library(self) -> dict[str, Any]:
        relation, frequency = library_bound(self.relation, self.frequency)
        return {"keyword": self.pattern, "frequency": frequency, "relation": relation}


class ForbiddenWords(Kwargs):
    forbidden_words: Annotated[list[WholeWord], Field(min_length=1, max_length=1000)]

    def for_library(self) -> dict[str, Any]:
        return {"forbidden_words": [re.escape(word) for word in self.forbidden_words]}


class LetterFrequency(Kwargs):
    letter: Letter
    let_frequency: Count
    let_relation: Relation

    def for_library(self) -> dict[str, Any]:
        relation, frequency = library_bound(self.let_relation, self.let_frequency)
        return {"letter": self.letter, "let_frequency": frequency, "let_relation": relation}


class ResponseLanguage(Kwargs):
    language: Language


class NumberSentences(Kwargs):
    num_sentences: Count
    relation: Relation

    def for_library(self) -> dict[str, Any]:
        relation, number = library_bound(self.relation, self.num_sentences)
        return {"num_sentences": number, "relation": relation}


class NumberWords(Kwargs):
    num_words: Count
    relation: Relation

    def for_library(self) -> dict[str, Any]:
        relation, number = library_bound(self.relation, self.num_words)
        return {"num_words": number, "relation": relation}


class NumberParagraphs(Kwargs):
    num_paragraphs: Positive


class ParagraphFirstWord(Kwargs):
    num_paragraphs: Positive
    nth_paragraph: Positive
    first_word: SingleWord

    @model_validator(mode="after")
    def _within(self) -> Self:
        if self.nth_paragraph > self.num_paragraphs:
            raise ValueError("nth_paragraph must not be greater than num_paragraphs")
        return self


class NumberPlaceholders(Kwargs):
    num_placeholders: Count


class Postscript(Kwargs):
    postscript_marker: Phrase

    def for_library(self) -> dict[str, Any]:
        marker = self.postscript_marker.strip()
        known = marker in _LIBRARY_MARKERS
        return {"postscript_marker": marker if known else re.escape(marker)}


class NumberBullets(Kwargs):
    num_bullets: Count


class NumberHighlights(Kwargs):
    num_highlights: Count


class MultipleSections(Kwargs):
    section_spliter: Phrase
    num_sections: Count

    @property
    def pattern(self) -> str:
        """What the library searches for before each section's number."""
        return re.escape(self.section_spliter.strip())

    def for_library(self) -> dict[str, Any]:
        return {"section_spliter": self.pattern, "num_sections": self.num_sections}


class RepeatPrompt(Kwargs):
    prompt_to_repeat: Phrase


class EndPhrase(Kwargs):
    end_phrase: Phrase


class CapitalWordFrequency(Kwargs):
    capital_frequency: Count
    capital_relation: Relation

    def for_library(self) -> dict[str, Any]:
        relation, frequency = library_bound(self.capital_relation, self.capital_frequency)
        return {"capital_frequency": frequency, "capital_relation": relation}


KINDS = (
    ConstraintKind("keywords:existence", "Every keyword appears.", Existence),
    ConstraintKind("keywords:frequency", "A keyword appears N times.", Frequency),
    ConstraintKind("keywords:forbidden_words", "None of the words appears.", ForbiddenWords),
    ConstraintKind("keywords:letter_frequency", "A letter appears N times.", LetterFrequency),
    ConstraintKind(
        "language:response_language",
        "The whole response is in one language.",
        ResponseLanguage,
    ),
    ConstraintKind("length_constraints:number_sentences", "N sentences.", NumberSentences),
    ConstraintKind(
        "length_constraints:number_paragraphs",
        "Exactly N paragraphs, separated by ***.",
        NumberParagraphs,
    ),
    ConstraintKind("length_constraints:number_words", "N words.", NumberWords),
    ConstraintKind(
        "length_constraints:nth_paragraph_first_word",
        "Exactly N paragraphs, separated by a blank line; one of them starts with a word.",
        ParagraphFirstWord,
    ),
    ConstraintKind(
        "detectable_content:number_placeholders",
        "At least N placeholders in square brackets, like [address].",
        NumberPlaceholders,
    ),
    ConstraintKind(
        "detectable_content:postscript",
        "A postscript that starts with a marker.",
        Postscript,
    ),
    ConstraintKind(
        "detectable_format:number_bullet_lists",
        "Exactly N bullet points, each a line that starts with * or -.",
        NumberBullets,
    ),
    ConstraintKind(
        "detectable_format:constrained_response",
        'Contains "My answer is yes.", "My answer is no." or "My answer is maybe."',
    ),
    ConstraintKind(
        "detectable_format:number_highlighted_sections",
        "At least N highlighted parts, like *this*.",
        NumberHighlights,
    ),
    ConstraintKind(
        "detectable_format:multiple_sections",
        "At least N sections, each marked by a word and a number, like Section 1.",
        MultipleSections,
    ),
    ConstraintKind("detectable_format:json_format", "The whole response is JSON."),
    ConstraintKind("detectable_format:title", "A title in double angle brackets, like <<title>>."),
    ConstraintKind("combination:two_responses", "Two different responses, separated by ******."),
    ConstraintKind(
        "combination:repeat_prompt",
        "The request is repeated word for word, then answered.",
        RepeatPrompt,
    ),
    ConstraintKind("startend:end_checker", "The response ends with a phrase.", EndPhrase),
    ConstraintKind(
        "change_case:capital_word_frequency",
        "N words in all capitals.",
        CapitalWordFrequency,
    ),
    ConstraintKind("change_case:english_capital", "English, in capital letters only."),
    ConstraintKind("change_case:english_lowercase", "English, in lowercase letters only."),
    ConstraintKind("punctuation:no_comma", "No commas."),
    ConstraintKind(
        "startend:quotation", "The whole response is wrapped in double quotation marks."
    ),
)
